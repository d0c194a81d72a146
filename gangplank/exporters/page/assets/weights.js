// The distribution of the weights over epochs: a column for each reading, the darker the more weights.

class Weights {
  constructor() {
    this.at = null;
    this.bucket = null;
    this.readings = [];
    this.plot = make('canvas', { class: 'plot', tabindex: '0', role: 'group', 'aria-roledescription': 'chart' });
    this.tip = make('div', { class: 'tip', hidden: '' });
    this.rows = make('div', { class: 'rows', tabindex: '0', role: 'region', 'aria-label': 'Last distribution of the weights' });
    this.details = make('details', null, make('summary', null, 'Table'), this.rows);
    this.details.addEventListener('toggle', () => this.fill());
    this.legend = make('div', { class: 'legend' });
    this.element = make(
      'figure', { class: 'chart', 'data-chart': 'Distribution of the weights' },
      make('figcaption', null, make('div', { class: 'top' }, make('h3', null, 'Distribution of the weights')), this.legend),
      this.plot, this.tip, this.details,
    );
    new ResizeObserver(() => this.draw()).observe(this.element);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
    this.listen();
  }

  update(readings) {
    const isNew = readings.length !== this.readings.length || readings.at(-1)?.t !== this.readings.at(-1)?.t;
    this.readings = readings;
    if (isNew) {
      this.draw();
      this.fill();
    }
  }

  // The buckets that hold anything, closed at the least and the greatest weight.
  buckets(reading) {
    return reading.counts.map((count, index) => ({
      count,
      low: Math.max(index ? reading.bounds[index - 1] : -Infinity, reading.least),
      high: Math.min(index < reading.bounds.length ? reading.bounds[index] : Infinity, reading.greatest),
    })).filter((bucket) => bucket.count > 0);
  }

  draw() {
    const [width, ratio] = [this.plot.clientWidth, devicePixelRatio || 1];
    if (!width || !this.readings.length) return;
    [this.plot.width, this.plot.height] = [width * ratio, HEIGHT * ratio];
    const pen = this.plot.getContext('2d');
    const theme = getComputedStyle(document.documentElement);
    pen.scale(ratio, ratio);
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const known = this.readings.flatMap((one) => [one.least, one.greatest]).filter(Number.isFinite);
    const [low, high] = extent(known.length ? known : [-1, 1], false);
    this.range = [low, high];
    const names = marks(low, high, 4);
    this.left = 12 + 6.4 * Math.max(...names.map((value) => number(value).length));
    this.y = linear(low, high, HEIGHT - ROOM.bottom, ROOM.top);
    this.column = (width - ROOM.right - this.left) / this.readings.length;
    pen.fillStyle = theme.getPropertyValue('--muted');
    pen.textAlign = 'right';
    for (const value of names) pen.fillText(number(value), this.left - 6, this.y(value) + 4);
    this.paint(pen, theme);
    pen.fillStyle = theme.getPropertyValue('--muted');
    pen.textAlign = 'center';
    const every = Math.ceil(40 / this.column);
    this.readings.forEach((reading, index) => {
      if (index % every === 0) pen.fillText(this.epoch(reading), this.left + (index + 0.5) * this.column, HEIGHT - ROOM.bottom + 14);
    });
    const last = this.readings.at(-1);
    say(this.legend, `${number(last.least)} to ${number(last.greatest)}; one column a reading`);
    this.plot.setAttribute('aria-label', `Distribution of the weights, now from ${number(last.least)} to ${number(last.greatest)}. Arrow keys read values.`);
    this.show();
  }

  paint(pen, theme) {
    const heat = theme.getPropertyValue('--heat');
    this.readings.forEach((reading, index) => {
      // A weight may be infinite: of its bucket the part in view is drawn, if there is one.
      const [least, greatest] = this.range;
      const buckets = this.buckets(reading)
        .map(({ count, low, high }) => ({ count, low: Math.max(low, least), high: Math.min(high, greatest) }))
        .filter((bucket) => bucket.low <= bucket.high);
      if (!buckets.length) return;
      // By density, since buckets differ in width.
      const density = (bucket) => bucket.count / Math.max(bucket.high - bucket.low, 1e-12);
      const densest = Math.max(...buckets.map(density));
      for (const bucket of buckets) {
        pen.fillStyle = `rgba(${heat}, ${(0.08 + 0.92 * Math.sqrt(density(bucket) / densest)).toFixed(3)})`;
        const top = this.y(bucket.high);
        const x = this.left + index * this.column;
        pen.fillRect(x, top, Math.max(this.column - (this.column > 6 ? 1 : 0), 0.5), Math.max(this.y(bucket.low) - top, 1));
      }
    });
  }

  epoch(reading) {
    return reading.epochs === null ? '' : number(reading.epochs);
  }

  listen() {
    const hide = () => { this.at = null; this.show(); };
    const pointed = (event) => {
      if (!this.column) return;
      const box = this.plot.getBoundingClientRect();
      this.at = Math.max(0, Math.min(this.readings.length - 1, Math.floor((event.clientX - box.left - this.left) / this.column)));
      const buckets = this.buckets(this.readings[this.at]);
      const y = event.clientY - box.top;
      this.bucket = Math.max(0, buckets.findIndex((one) => this.y(one.high) <= y && y <= this.y(one.low)));
      this.show();
    };
    this.plot.addEventListener('pointermove', pointed);
    this.plot.addEventListener('pointerdown', pointed);
    this.plot.addEventListener('pointerleave', hide);
    this.plot.addEventListener('blur', hide);
    this.plot.addEventListener('keydown', (event) => {
      const [across, along] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] || [0, 0];
      if (event.key === 'Escape') hide();
      if ((!across && !along) || !this.readings.length) return;
      event.preventDefault();
      const last = this.readings.length - 1;
      this.at = Math.max(0, Math.min((this.at ?? last + (across < 0 ? 1 : 0)) + across, last));
      const count = this.buckets(this.readings[this.at]).length;
      this.bucket = Math.max(0, Math.min((this.bucket ?? Math.floor(count / 2)) + along, count - 1));
      this.show();
      say(document.getElementById('said'), this.tip.textContent);
    });
  }

  show() {
    const reading = this.at === null ? null : this.readings[this.at];
    this.tip.hidden = !reading;
    if (!reading) return;
    const bucket = this.buckets(reading)[this.bucket];
    this.tip.replaceChildren(
      make('strong', null, `Epoch ${this.epoch(reading)}`),
      make('div', null, `${number(reading.least)} to ${number(reading.greatest)}`),
      bucket ? make('div', null, `${plural(bucket.count, 'weight')} from ${number(bucket.low)} to ${number(bucket.high)}`) : null,
    );
    place(this.tip, this.plot, this.left + (this.at + 0.5) * this.column);
  }

  fill() {
    const last = this.readings.at(-1);
    if (!this.details.open || !last) {
      this.rows.replaceChildren();
      return;
    }
    const head = ['Weights up to', `Epoch ${this.epoch(last)}`].map((name) => make('th', { scope: 'col' }, name));
    const rows = last.counts.map((count, index) => make(
      'tr', null,
      make('th', { scope: 'row' }, index < last.bounds.length ? number(last.bounds[index]) : 'beyond'),
      make('td', null, String(count)),
    ));
    this.rows.replaceChildren(make('table', null, make('thead', null, make('tr', null, ...head)), make('tbody', null, ...rows)));
  }
}
