// The cursor of a chart: by mouse, touch and keyboard, over whatever points there are.

function follow(chart) {
  const places = () => [...new Set(chart.drawn().flatMap((line) => line.points.map((one) => one[0])))].sort((a, b) => a - b);
  const nearest = (x) => places().reduce((best, one) => (Math.abs(one - x) < Math.abs(best - x) ? one : best), Infinity);
  const pointed = (event) => {
    if (!chart.x) return;
    const inside = event.clientX - chart.plot.getBoundingClientRect().left;
    const at = chart.from + ((inside - chart.left) / (chart.width - ROOM.right - chart.left)) * (chart.to - chart.from);
    point(chart, nearest(at));
  };
  chart.plot.addEventListener('pointermove', pointed);
  chart.plot.addEventListener('pointerdown', pointed);
  chart.plot.addEventListener('pointerleave', () => point(chart, null));
  chart.plot.addEventListener('blur', () => point(chart, null));
  chart.plot.addEventListener('keydown', (event) => {
    const all = places();
    const index = chart.at === null ? all.length : all.indexOf(nearest(chart.at));
    const next = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: all.length - 1, PageUp: index - 10, PageDown: index + 10 }[event.key];
    if (event.key === 'Escape') point(chart, null);
    if (next === undefined || !all.length) return;
    event.preventDefault();
    point(chart, all[Math.max(0, Math.min(next, all.length - 1))]);
    say(document.getElementById('said'), chart.tip.textContent);
  });
}

// Show the values at a place, or none.
function point(chart, at) {
  chart.at = at === Infinity ? null : at;
  chart.plot.querySelector('.cursor')?.remove();
  chart.tip.hidden = chart.at === null;
  if (chart.at === null) return;
  const x = chart.x(at);
  chart.plot.append(shape('line', { class: 'cursor', x1: x, x2: x, y1: ROOM.top, y2: HEIGHT - ROOM.bottom }));
  const rows = chart.drawn().map((line) => [line, valueAt(line.points, at)]).filter(([, value]) => value !== undefined);
  chart.tip.replaceChildren(
    make('strong', null, placeName(at, chart.axis)),
    ...rows.map(([line, value]) => make('div', null, `${line.name}: ${withUnit(value, line.unit)}`)),
  );
  place(chart.tip, chart.plot, x);
}

// Put a tip beside a place of a plot, where it stays inside of it.
function place(tip, plot, x) {
  const [inner, outer] = [plot.getBoundingClientRect(), plot.parentElement.getBoundingClientRect()];
  const beside = x + 12 + tip.offsetWidth > inner.width ? x - 12 - tip.offsetWidth : x + 12;
  tip.style.left = `${inner.left - outer.left + Math.max(0, beside)}px`;
  tip.style.top = `${inner.top - outer.top + 12}px`;
}

// The value at a place: that of the last point that is not behind it.
function valueAt(points, at) {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= at) low = middle + 1;
    else high = middle;
  }
  return low ? points[low - 1][1] : undefined;
}

function placeName(at, axis) {
  if (axis.kind === 'time') return clock(at);
  const whole = Math.round(at);
  return Math.abs(at - whole) < 0.005 ? `Epoch ${whole}` : `Epoch ${at.toFixed(2)}`;
}
