// What several pages are made of: badges, tables, messages, the question before something is deleted.
import { el, fresh } from './dom.js';

export const go = (hash) => { location.hash = hash; };
export const refresh = () => document.dispatchEvent(new Event('refresh'));
export const say = (message) => { document.getElementById('status').textContent = message; };

const STATES = { delivered: 'good', waiting: 'busy', leased: 'busy', dead: 'bad', held: 'warn', filtered: 'plain' };

export const badge = (text, kind = 'plain') => el('span', { class: `badge ${kind}` }, text);
export const state = (name) => badge(name, STATES[name]);

// Shown wherever a webhook is whose receiver is not verified.
export const insecure = (webhook) => webhook?.tls?.insecure
  && el('strong', { class: 'insecure', title: 'tls.insecure: whoever answers for the receiver is believed' }, 'TLS: not verified');

export const problem = (error) => el('p', { class: 'problem', role: 'alert' }, error.message);

export const button = (label, click, attributes = {}) => el('button', { type: 'button', click, ...attributes }, label);

// A click that is under way is not made again; what it failed with is shown beside the button.
export function action(label, run, attributes = {}) {
  const node = button(label, async () => {
    if (node.getAttribute('aria-disabled') === 'true') return;
    node.setAttribute('aria-disabled', 'true');
    say('');
    try {
      await run();
    } catch (error) {
      if (error.status === 401) refresh();
      else say(error.message);
    }
    node.removeAttribute('aria-disabled');
  }, attributes);
  return node;
}

// columns: [title, (row) => content]; phones show each row as a list of them.
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return el('p', { class: 'empty' }, empty);
  return el('table', {},
    el('caption', { class: 'hidden' }, caption),
    el('thead', {}, el('tr', {}, columns.map(([title]) => el('th', { scope: 'col' }, title)))),
    el('tbody', {}, rows.map((row) => el('tr', {},
      columns.map(([title, content]) => el('td', { 'data-label': title }, el('div', {}, content(row))))))));
}

export const facts = (pairs) => el('dl', {}, pairs
  .filter(([, value]) => value !== null && value !== undefined && value !== false && value !== '')
  .map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));

export const headerLines = (pairs) => pairs.map(([name, value]) => el('div', {}, el('code', {}, `${name}: ${value}`)));

export function field(label, input, hint) {
  input.id ||= fresh('field');
  if (!hint) return el('div', { class: 'field' }, el('label', { for: input.id }, label), input);
  const id = fresh('hint');
  input.setAttribute('aria-describedby', id);
  return el('div', { class: 'field' }, el('label', { for: input.id }, label), input, el('p', { class: 'hint', id }, hint));
}

export const select = (options, value, attributes = {}) => el('select', attributes,
  options.map(([key, label]) => el('option', { value: key, selected: key === value }, label)));

// true when the question was answered with yes.
export function confirm(question, yes) {
  return new Promise((resolve) => {
    const id = fresh('question');
    const dialog = el('dialog', { 'aria-labelledby': id, close: () => { dialog.remove(); resolve(dialog.returnValue === 'yes'); } },
      el('form', { method: 'dialog' },
        el('p', { id }, question),
        el('div', { class: 'buttons' },
          el('button', { value: 'no', autofocus: true }, 'Cancel'),
          el('button', { value: 'yes', class: 'danger' }, yes))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// What is shown once.
export function secret(value) {
  return el('div', { class: 'notice', role: 'alert' },
    el('p', {}, 'Requests are signed with this secret. Give it to the receiver now: it is not shown again.'),
    el('code', { class: 'secret' }, value), ' ',
    navigator.clipboard && action('Copy', async () => {
      await navigator.clipboard.writeText(value);
      say('Copied.');
    }));
}

// To the next page of a list, and back to the first.
export function pager(path, query, next) {
  const link = (label, before) => {
    const parameters = new URLSearchParams(Object.entries({ ...query, before }).filter(([, value]) => value));
    return el('a', { class: 'button', href: `#/${path}?${parameters}` }, label);
  };
  if (!next && !query.before) return null;
  return el('nav', { class: 'pager', 'aria-label': 'More' }, query.before && link('Newest', ''), next && link('Older', next));
}
