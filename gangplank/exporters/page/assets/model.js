// What is shown of one model: its state in words, numbers, and charts.

const SECTIONS = [['training', 'Training'], ['weights', 'Weights'], ['evaluation', 'Evaluation'], ['inference', 'Inference'], ['drift', 'Drift']];

class ModelView {
  constructor(subject) {
    this.charts = new Map();
    this.about = make('p');
    this.sections = new Map(SECTIONS.map(([key, title]) => [key, this.section(key, title)]));
    this.progress = make('progress', { 'aria-label': 'Epochs done', hidden: '' });
    this.sections.get('training').tiles.after(this.progress);
    this.weights = new Weights();
    const labels = Object.entries(subject.labels).map(([key, value]) => `${key}: ${value}`).join(' · ');
    this.labels = labels;
    this.element = make(
      'div', null,
      make('div', { class: 'name' }, make('h2', null, subject.model), this.about),
      ...[...this.sections.values()].map((section) => section.element),
    );
  }

  section(key, title) {
    const state = make('p', { class: 'state' });
    const tiles = make('dl', { class: 'tiles' });
    const charts = make('div', { class: 'charts' });
    const head = make('div', { class: 'head' }, make('h2', null, title), state);
    return { element: make('section', { 'data-section': key, 'aria-label': title, hidden: '' }, head, tiles, charts), state, tiles, charts, cells: new Map() };
  }

  update(subject, lines, weights, now, isGone) {
    const { training, evaluation, inference, drift } = subject;
    const about = training ? Object.entries(training.about).map(([key, value]) => `${key} ${value}`).join(' · ') : '';
    say(this.about, [this.labels, about].filter(Boolean).join(' · '));
    const axis = axisOf(lines, training, now);
    this.draw(lines, axis, now);
    this.state('training', training && training.state, training && training.words, isGone);
    this.tile('training', training ? trainingTiles(training) : []);
    this.progress.hidden = !training || !training.planned;
    if (training && training.planned) [this.progress.max, this.progress.value] = [training.planned, Math.min(training.epochs || 0, training.planned)];
    if (weights.length) {
      if (!this.weights.element.isConnected) this.sections.get('weights').charts.prepend(this.weights.element);
      this.weights.update(weights);
    }
    this.state('evaluation', evaluation && evaluation.state, evaluation && evaluation.words, isGone);
    this.tile('evaluation', evaluation ? evaluationTiles(evaluation) : []);
    this.state('inference', null, inference && inferenceWords(inference), isGone);
    this.tile('inference', inference ? inferenceTiles(inference) : []);
    this.driftTold(drift || []);
    for (const section of this.sections.values()) {
      section.tiles.hidden = !section.tiles.children.length;
      section.element.hidden = !section.tiles.children.length && !section.charts.children.length;
    }
  }

  state(key, word, words, isGone) {
    const { state } = this.sections.get(key);
    const was = isGone && ['running', 'diverging', 'stalled'].includes(word);
    state.dataset.state = (was ? 'unknown' : word) || '';
    say(state, was ? `When last seen: ${words}` : words || '');
  }

  tile(key, entries) {
    const { tiles, cells } = this.sections.get(key);
    const wanted = entries.filter((entry) => entry[1] !== '–');
    for (const [name, cell] of cells) {
      if (!wanted.some((entry) => entry[0] === name)) {
        cell.parentElement.remove();
        cells.delete(name);
      }
    }
    for (const [name, value] of wanted) {
      if (!cells.has(name)) {
        cells.set(name, make('dd'));
        tiles.append(make('div', null, make('dt', null, name), cells.get(name)));
      }
      say(cells.get(name), value);
    }
  }

  driftTold(drift) {
    const worst = drift.find((one) => one.detected) || drift[0];
    this.state('drift', worst && worst.detected ? 'drift' : null, worst && drift.length === 1 ? worst.words : worst && worst.detected ? worst.words : '');
    this.tile('drift', drift.flatMap((one) => {
      const name = drift.length === 1 ? '' : `${one.detector}: `;
      return [
        [`${name}Detections`, number(one.detected)],
        [`${name}Statistic`, one.statistic === null ? '–' : number(one.statistic)],
        [`${name}Threshold`, number(one.threshold)],
        [`${name}p-value`, number(one.p_value)],
        [`${name}Window`, one.fill === null ? '–' : `${Math.round(100 * one.fill)} % full`],
        [`${name}Observations`, number(one.observations)],
        [`${name}Not looked at`, one.unseen ? plural(one.unseen, 'sample') : '–'],
      ];
    }));
  }

  draw(lines, axis, now) {
    const groups = new Map();
    for (const line of lines.filter((one) => one.section !== 'axis' && one.points.length)) {
      const key = `${line.section}/${line.chart}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(line);
    }
    for (const [key, chart] of this.charts) {
      if (!groups.has(key)) {
        chart.element.remove();
        this.charts.delete(key);
      }
    }
    for (const [key, group] of [...groups].sort(([, left], [, right]) => left[0].order - right[0].order)) {
      const { section, chart: title } = group[0];
      const isOfEpochs = section === 'training' || section === 'weights';
      const { charts } = this.sections.get(section);
      if (!this.charts.has(key)) {
        const chart = new Chart(title);
        this.charts.set(key, chart);
        charts.append(chart.element);
      }
      const place = isOfEpochs ? axis.place : (at) => at;
      const shown = group.map((line) => ({
        name: line.name, unit: line.unit, mayBreak: line.chart === 'Latency',
        points: line.points.map(([at, value]) => [place(at), value]),
      }));
      shown.sort((left, right) => ranks(left.name) - ranks(right.name));
      this.charts.get(key).update(shown, isOfEpochs && axis.kind === 'epoch' ? { kind: 'epoch', end: 0 } : { kind: 'time', end: now });
    }
  }
}

// How many points are at a place or behind it.
function after(points, at) {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < at) low = middle + 1;
    else high = middle;
  }
  return points.length - low;
}

function ranks(name) {
  return ['training', 'all', 'median', 'test statistic'].includes(name) ? 0 : ['threshold', '99 %'].includes(name) ? 2 : 1;
}

// From times to epochs, by when each epoch was done. Without epochs, time itself.
function axisOf(lines, training, now) {
  const epochs = (lines.find((line) => line.section === 'axis') || { points: [] }).points;
  if (!epochs.length) return { kind: 'time', end: now, place: (at) => at };
  const known = [[Math.min(training ? training.begun : epochs[0][0], epochs[0][0]), epochs[0][1] - 1], ...epochs];
  const pace = training && training.epoch_seconds;
  return { kind: 'epoch', end: now, place: (at) => {
    const [last, all] = known.at(-1);
    if (at > last) return pace ? all + Math.min((at - last) / pace, 0.99) : all;  // in the epoch that is not done yet
    const index = Math.max(1, known.length - after(known, at));
    const [[begun, before], [over, done]] = [known[index - 1], known[index]];
    return over === begun ? done : done - (1 - Math.max(0, (at - begun) / (over - begun))) * (done - before);
  } };
}

function trainingTiles(training) {
  const epochs = training.planned ? `${number(training.epochs || 0)} of ${number(training.planned)}` : number(training.epochs);
  return [
    ['Epochs', epochs],
    ['Time left', training.left === null ? '–' : training.left < 1 ? '< 1 s' : `about ${seconds(Math.round(training.left))}`],
    ['Elapsed', seconds(training.elapsed)],
    ['Last epoch', seconds(training.epoch_seconds)],
    ['Step', seconds(training.step_seconds)],
    ['Steps', number(training.steps)],
    ['Learning rate', number(training.learning_rate)],
    ['Parameters', number(training.parameters)],
    ['Not finite', training.nonfinite ? plural(training.nonfinite, 'value') : '–'],
  ];
}

function evaluationTiles(evaluation) {
  return [...Object.entries(evaluation.values).map(([name, value]) => [name, number(numeric(value))]), ['Elapsed', seconds(evaluation.elapsed)]];
}

function inferenceWords(inference) {
  if (inference.last === null) return 'No call yet';
  return inference.in_flight ? 'Serving' : inference.last < 60 ? 'Ready' : `Idle for ${seconds(inference.last)}`;
}

function inferenceTiles(inference) {
  const kinds = Object.entries(inference.errors).map(([kind, count]) => `${number(count)} ${kind}`).join(', ');
  return [
    ['Calls', number(inference.calls)],
    ['Failed', kinds || '0'],
    ['Samples', number(inference.samples)],
    ['In flight', number(inference.in_flight)],
    ['Last call', inference.last === null ? '–' : inference.last < 1 ? 'just now' : `${seconds(Math.round(inference.last))} ago`],
  ];
}
