// Axes: from values to places, and where to put marks.

function linear(low, high, start, end) {
  const span = high - low || 1;
  return (value) => start + ((value - low) / span) * (end - start);
}

function logarithmic(low, high, start, end) {
  return ((inner) => (value) => inner(Math.log10(value)))(linear(Math.log10(low), Math.log10(high), start, end));
}

// Round numbers from low to high, about as many as asked for.
function marks(low, high, count, least = 3) {
  const rough = (high - low) / Math.max(count, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
    found.push(Number((index * step).toPrecision(12)));
  }
  return found.length < least && count < 64 ? marks(low, high, 2 * count, Math.min(least, 2)) : found;
}

function wholeMarks(low, high, count) {
  const found = marks(low, high, count, 0).filter(Number.isInteger);
  return found.length ? found : [Math.round(high)];
}

function logMarks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const digit of [1, 2, 5]) {
      const value = Number((digit * 10 ** power).toPrecision(3));
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found.length > 7 ? found.filter((value) => Number.isInteger(Math.log10(value) + 1e-12) || /^1/.test(value.toExponential())) : found;
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];

function timeMarks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const step = TIME_STEPS.find((one) => one >= rough) || 2592000;
  const shift = new Date(low * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((low - shift) / step) * step + shift; at <= high; at += step) found.push(at);
  return found;
}

function timeName(at, span) {
  const date = new Date(at * 1000);
  if (span > 172800) return date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
  return date.toLocaleTimeString('en-GB', span > 600 ? { hour: '2-digit', minute: '2-digit' } : {});
}

// What to show of the values of an axis, with some room.
function extent(values, fromZero) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (fromZero) low = Math.min(low, 0);
  if (low === high) return low === 0 ? [0, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
  const room = (high - low) * 0.05;
  return [fromZero && low === 0 ? 0 : low - room, high + room];
}
