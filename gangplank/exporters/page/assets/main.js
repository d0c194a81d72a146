// Keeps what the process has told, and shows the model that is chosen.

const MOST_POINTS = 5000;
const EMPTY = 'Nothing is measured yet. Models appear here once one is trained with a TelemetryCallback, or predicts through a TelemetryModel or PrometheusModel.';

const main = document.getElementById('main');
const choice = document.getElementById('model');
const views = new Map();
const notes = make('div');
const kept = { lines: new Map(), weights: new Map(), subjects: [], now: 0 };
let isGone = false;
let chosen = chosenInAddress();

function chosenInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return '';
  }
}

function nameOf(subject) {
  const labels = Object.entries(subject.labels).map(([key, value]) => `${key}=${value}`).join(', ');
  return labels ? `${subject.model} (${labels})` : subject.model;
}

// JSON has no NaN: such numbers come as text.
function numeric(value) {
  return typeof value === 'string' ? Number(value) : value;
}

function take(news, isWhole) {
  if (!news.subjects.length && kept.subjects.length && !isWhole) return;  // it is ending: what was known stays
  if (isWhole) {
    kept.lines.clear();
    kept.weights.clear();
  }
  forgetRuns(news);
  let longest = 0;
  for (const line of news.lines) {
    const subject = nameOf(news.subjects[line.subject]);
    const key = JSON.stringify([subject, line.section, line.chart, line.name]);
    const known = kept.lines.get(key) || { ...line, subject, points: [] };
    known.points.push(...line.t.map((at, index) => [at, numeric(line.v[index])]));
    kept.lines.set(key, known);
    longest = Math.max(longest, known.points.length);
  }
  for (const subject of news.subjects) {
    const name = nameOf(subject);
    const readings = subject.weights.map((one) => ({ ...one, least: numeric(one.least), greatest: numeric(one.greatest) }));
    kept.weights.set(name, [...(kept.weights.get(name) || []), ...readings]);
    longest = Math.max(longest, 10 * kept.weights.get(name).length);
  }
  [kept.subjects, kept.now, kept.notes] = [news.subjects, news.now, notesOf(news)];
  if (longest > MOST_POINTS) connection.renew();
  show();
}

// A new run of a model begins its charts anew, as it does in the process.
function forgetRuns(news) {
  for (const subject of news.subjects) {
    const name = nameOf(subject);
    const before = kept.subjects.find((one) => nameOf(one) === name);
    if (before?.training && subject.training && before.training.run !== subject.training.run) {
      kept.weights.delete(name);
      for (const [key, line] of kept.lines) {
        if (line.subject === name && ['training', 'weights', 'axis'].includes(line.section)) kept.lines.delete(key);
      }
    }
  }
}

function notesOf(news) {
  return [
    news.trouble.length ? `Telemetry itself has met errors: ${news.trouble.join(', ')}. The log says more.` : '',
    news.left_out ? `${plural(news.left_out, 'line')} more are not kept: there is room for 300.` : '',
  ].filter(Boolean);
}

function show() {
  const names = kept.subjects.map(nameOf);
  offer(names);
  const subject = kept.subjects[Math.max(0, names.indexOf(chosen))];
  if (!subject) {
    main.replaceChildren(make('p', { class: 'empty' }, EMPTY));
    return;
  }
  const name = nameOf(subject);
  if (!views.has(name)) views.set(name, new ModelView(subject));
  const view = views.get(name);
  notes.replaceChildren(...(kept.notes || []).map((note) => make('p', { class: 'warning' }, note)));
  if (view.element.parentElement !== main) main.replaceChildren(notes, view.element);
  const lines = [...kept.lines.values()].filter((line) => line.subject === name);
  view.update(subject, lines, kept.weights.get(name) || [], kept.now, isGone);
  const state = subject.training ? ` – ${subject.training.words}` : '';
  document.title = `${subject.model}${state} – Gangplank`;
}

function offer(names) {
  document.getElementById('choice').hidden = names.length < 2;
  const present = [...choice.options].map((option) => option.value);
  if (present.join('\n') !== names.join('\n')) choice.replaceChildren(...names.map((name) => make('option', { value: name }, name)));
  if (names.includes(chosen)) choice.value = chosen;
}

choice.addEventListener('change', () => {
  chosen = choice.value;
  history.replaceState(null, '', `#${encodeURIComponent(chosen)}`);
  show();
});

const connection = new Connection(take, (state, words) => {
  const link = document.getElementById('link');
  link.dataset.state = state;
  say(link, words);
  isGone = state === 'gone';
  document.body.classList.toggle('gone', isGone);
  if (isGone && kept.subjects.length) show();
});
