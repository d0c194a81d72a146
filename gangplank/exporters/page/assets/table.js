// The table behind a chart: all its points, newest first, made when it is opened.

class Table {
  constructor(title) {
    this.rows = make('div', { class: 'rows', tabindex: '0', role: 'region', 'aria-label': `Values of ${title}` });
    this.element = make('details', null, make('summary', null, 'Table'), this.rows);
    this.element.addEventListener('toggle', () => this.fill());
  }

  update(lines, axis, events) {
    this.data = { lines, axis, events };
    if (this.element.open) this.fill();
  }

  fill() {
    if (!this.element.open || !this.data) {
      this.rows.replaceChildren();
      return;
    }
    const { lines, axis, events } = this.data;
    const values = lines.map((line) => new Map(line.points));
    const places = [...new Set(lines.flatMap((line) => line.points.map((one) => one[0])))].sort((a, b) => b - a);
    const first = axis.kind === 'time' ? 'Time' : 'Epoch';
    const detected = new Set(events);
    this.rows.replaceChildren(make(
      'table', null,
      make('thead', null, make('tr', null, ...[first, ...lines.map((line) => line.name)].map((name) => make('th', { scope: 'col' }, name)))),
      make('tbody', null, ...places.map((at) => make(
        'tr', null,
        make('th', { scope: 'row' }, placeName(at, axis).replace('Epoch ', '') + (detected.has(at) ? ' – detected' : '')),
        ...values.map((column) => make('td', null, column.has(at) ? String(column.get(at)) : '')),
      ))),
    ));
  }
}
