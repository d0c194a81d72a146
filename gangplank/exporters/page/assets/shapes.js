// Elements of HTML and SVG. Whatever came from outside is only ever their text, or an attribute that runs nothing.

function make(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function shape(tag, attributes, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Change text only where it differs: what a reader has selected or is listening to stays.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
