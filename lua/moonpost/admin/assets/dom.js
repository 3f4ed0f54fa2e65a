// Elements of text and attributes alone. Nothing that came from outside is ever read as markup, and no link leads off this page.

const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden']);

// el('a', { href: '#/', class: 'x', click: () => {} }, 'text', node, [more]). Functions are listeners; null and false are left out.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (name === 'href' && !value.startsWith('#')) throw new Error(`href: expected a place on this page, got ${value}`);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

let count = 0;

// An id that no other element has.
export const fresh = (name) => `${name}-${++count}`;
