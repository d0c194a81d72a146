// One chart: its lines, their legend, a cursor, and the table behind it.

const HEIGHT = 190;
const ROOM = { top: 10, right: 12, bottom: 20 };

class Chart {
  constructor(title) {
    this.title = title;
    this.lines = [];
    this.seen = '';
    this.isLog = false;
    this.at = null;
    this.legend = make('div', { class: 'legend' });
    this.plot = shape('svg', { class: 'plot', tabindex: '0', role: 'group', 'aria-roledescription': 'chart' });
    this.log = make('button', { type: 'button', 'aria-pressed': 'false', 'aria-label': `Logarithmic axis of ${title}` }, 'log');
    this.log.addEventListener('click', () => {
      this.isLog = !this.isLog;
      this.log.setAttribute('aria-pressed', String(this.isLog));
      this.draw();
    });
    this.tip = make('div', { class: 'tip', hidden: '' });
    this.table = new Table(title);
    this.element = make(
      'figure', { class: 'chart', 'data-chart': title },
      make('figcaption', null, make('div', { class: 'top' }, make('h3', null, title), this.log), this.legend),
      this.plot, this.tip, this.table.element,
    );
    new ResizeObserver(() => this.draw()).observe(this.element);
    follow(this);
  }

  // lines: [{name, unit, points: [[x, value], ...]}]; axis: {kind: 'epoch' | 'time', end}
  update(lines, axis) {
    this.lines = lines;
    this.axis = axis;
    const seen = lines.map((line) => `${line.points.length}:${line.points.at(-1)}`).join() + axis.kind + axis.end;
    if (seen !== this.seen) {
      this.seen = seen;
      this.draw();
      this.table.update(this.drawn(), axis, this.events());
    }
  }

  drawn() {
    return this.lines.filter((line) => line.name !== 'detections');
  }

  events() {
    const counts = this.lines.find((line) => line.name === 'detections');
    if (!counts) return [];
    return counts.points.filter(([, value], index) => value > (index ? counts.points[index - 1][1] : 0)).map(([x]) => x);
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!width || !this.axis) return;
    const finite = this.drawn().flatMap((line) => line.points.map((point) => point[1]).filter(Number.isFinite));
    const isPositive = finite.length > 0 && Math.min(...finite) > 0;
    this.log.hidden = !isPositive || this.drawn().some((line) => line.unit === '%');
    const isLog = this.isLog && isPositive;
    const fromZero = !isLog && this.drawn().some((line) => line.unit);
    const range = finite.length ? extent(finite, fromZero) : [0, 1];
    if (isLog) [range[0], range[1]] = [Math.min(...finite) / 1.1, Math.max(...finite) * 1.1];
    const names = (isLog ? logMarks : (low, high) => marks(low, high, 4))(...range);
    const unit = (this.drawn()[0] || {}).unit;
    const labels = names.map((value) => (unit === 's' ? seconds(value) : number(value)));
    const left = 12 + 6.4 * Math.max(2, ...labels.map((label) => label.length));
    const xs = this.lines.flatMap((line) => [line.points[0], line.points.at(-1)]).filter(Boolean).map((point) => point[0]);
    this.from = Math.min(...xs);
    this.to = Math.max(...xs, this.axis.kind === 'time' ? this.axis.end : -Infinity);
    if (this.from === this.to) this.from -= 1;
    this.x = linear(this.from, this.to, left, width - ROOM.right);
    this.y = (isLog ? logarithmic : linear)(...range, HEIGHT - ROOM.bottom, ROOM.top);
    this.left = left;
    this.width = width;
    this.plot.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.plot.replaceChildren(...this.frame(names, labels), ...this.marked(), ...this.traces());
    this.tell();
    point(this, this.at);
  }

  frame(values, labels) {
    const end = this.width - ROOM.right;
    const rows = values.flatMap((value, index) => [
      shape('line', { class: 'grid', x1: this.left, x2: end, y1: this.y(value), y2: this.y(value) }),
      shape('text', { x: this.left - 6, y: this.y(value) + 4, 'text-anchor': 'end' }, labels[index]),
    ]);
    const base = HEIGHT - ROOM.bottom;
    const count = Math.max(2, Math.floor((end - this.left) / 80));
    const ticks = this.axis.kind === 'time' ? timeMarks(this.from, this.to, count) : wholeMarks(this.from, this.to, count);
    const columns = ticks.map((at) => shape(
      'text', { x: this.x(at), y: base + 14, 'text-anchor': at === ticks.at(-1) && this.x(at) > end - 20 ? 'end' : 'middle' },
      this.axis.kind === 'time' ? timeName(at, this.to - this.from) : number(at),
    ));
    return [...rows, shape('line', { class: 'base', x1: this.left, x2: end, y1: base, y2: base }), ...columns];
  }

  // Detections, and values that no axis has room for.
  marked() {
    const found = this.events().map((at) => shape('line', { class: 'event', x1: this.x(at), x2: this.x(at), y1: ROOM.top, y2: HEIGHT - ROOM.bottom }));
    for (const line of this.drawn()) {
      const lost = line.points.filter(([, value]) => !Number.isFinite(value));
      for (const [at] of lost) {
        const [x, y] = [this.x(at), ROOM.top];
        found.push(shape('path', { class: 'lost', d: `M${x - 4} ${y - 4}l8 8m0 -8l-8 8` }));
      }
      if (lost.length) {
        const x = this.x(lost[0][0]);
        const anchor = x > this.width - 60 ? 'end' : 'start';
        found.push(shape('text', { class: 'lost-name', x: x + (anchor === 'end' ? -8 : 8), y: ROOM.top + 4, 'text-anchor': anchor }, number(lost[0][1])));
      }
    }
    return found;
  }

  traces() {
    return this.drawn().flatMap((line, index) => {
      const kind = style(line, index);
      const last = line.points.findLast((one) => Number.isFinite(one[1]));
      const dot = last && shape('circle', { class: `dot ${kind}`, cx: this.x(last[0]), cy: this.y(last[1]), r: 2.5 });
      return [shape('path', { class: `line ${kind}`, d: this.trace(line) }), dot].filter(Boolean);
    });
  }

  trace(line) {
    let path = '';
    let isOn = false;
    let before = null;
    const widest = line.mayBreak ? Math.max(10, (5 * (this.to - this.from)) / line.points.length) : Infinity;
    for (const [at, value] of line.points) {
      if (before !== null && at - before > widest) isOn = false;
      before = at;
      if (Number.isFinite(value)) path += `${isOn ? 'L' : 'M'}${this.x(at).toFixed(1)} ${this.y(value).toFixed(1)}`;
      isOn = Number.isFinite(value);
    }
    return path;
  }

  tell() {
    const items = this.drawn().map((line, index) => {
      const sample = shape('svg', { viewBox: '0 0 18 8', 'aria-hidden': 'true' }, shape('path', { class: `line ${style(line, index)}`, d: 'M0 4h18' }));
      return make('span', null, sample, `${line.name} `, make('b', null, withUnit((line.points.at(-1) || [])[1], line.unit)));
    });
    const detections = this.events().length;
    if (detections) items.push(make('span', null, plural(detections, 'detection')));
    this.legend.replaceChildren(...items);
    const said = this.drawn().map((line) => `${line.name} ${withUnit((line.points.at(-1) || [])[1], line.unit)}`).join(', ');
    this.plot.setAttribute('aria-label', `${this.title}: ${said}. Arrow keys read values.`);
  }
}

function style(line, index) {
  return line.name === 'threshold' ? 'limit' : `l${index % 4}`;
}
