// Numbers, durations and times as people read them.

function number(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return number(Number(value));  // what JSON has no number for
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return value.toLocaleString('en');
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace(/\.?0+e/, 'e').replace('e+', 'e');
  return String(Number(value.toPrecision(4)));
}

function withUnit(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) return number(value);
  if (unit === 's') return seconds(value);
  if (unit === '%') return `${number(value)} %`;
  return unit ? `${number(value)} ${unit}` : number(value);
}

function seconds(value) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return '0 s';
  if (value < 1e-3) return `${Number((value * 1e6).toPrecision(3))} µs`;
  if (value < 1) return `${Number((value * 1e3).toPrecision(3))} ms`;
  if (value < 60) return `${Number(value.toPrecision(3))} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function clock(unix) {
  return new Date(unix * 1000).toLocaleTimeString('en-GB');
}

function plural(count, word) {
  return `${number(count)} ${word}${count === 1 ? '' : 's'}`;
}
