// The form of a webhook: its fields, what is wrong with them, and what it says.
import { el, fresh } from './dom.js';
import { button, field } from './ui.js';

const STANDARD = ['Accept', 'Accept-Language', 'Authorization', 'Cookie', 'From', 'Origin', 'Referer', 'User-Agent', 'X-Api-Key'];
const REPORTS = new Set(['webhook', 'delivery', 'script']);

// ---- headers ----

function headerRow(name, value, list) {
  const row = el('div', { class: 'row' },
    el('input', { 'aria-label': 'Key', placeholder: 'Key', value: name, list, spellcheck: 'false', autocapitalize: 'off' }),
    el('input', { 'aria-label': 'Value', placeholder: 'Value', value, spellcheck: 'false', autocapitalize: 'off' }),
    button('Remove', () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      next?.querySelector('input')?.focus();
    }, { 'aria-label': `Remove the header ${name}` }));
  return row;
}

function headersField(headers) {
  const list = fresh('names');
  const rows = el('div', {}, Object.entries(headers).map(([name, value]) => headerRow(name, value, list)));
  return {
    node: el('fieldset', {},
      el('legend', {}, 'Headers'),
      el('datalist', { id: list }, STANDARD.map((name) => el('option', { value: name }))),
      rows,
      button('Add header', () => {
        const row = headerRow('', '', list);
        rows.append(row);
        row.querySelector('input').focus();
      })),
    // null: two rows have one name, of which an object can hold one.
    value() {
      const result = {};
      for (const row of rows.children) {
        const [name, value] = [...row.querySelectorAll('input')].map((input) => input.value.trim());
        if (name === '' && value === '') continue;
        if (Object.hasOwn(result, name)) return null;
        result[name] = value;
      }
      return result;
    },
  };
}

// ---- events ----

const groupOf = (word) => word.split('.')[0];

// A pattern covers those that it names, also later ones; * covers all but reports.
const covers = (pattern, word) => pattern !== word
  && (pattern === '*' ? !REPORTS.has(groupOf(word)) : pattern.endsWith('.*') && groupOf(pattern) === groupOf(word));

const label = (word) => (word === '*' ? 'All events, also those to come' : word.endsWith('.*') ? `All of ${groupOf(word)}` : word);

function eventsField(words, chosen) {
  const boxes = new Map();
  const update = () => {
    const patterns = [...boxes].filter(([, box]) => box.checked).map(([word]) => word);
    for (const [word, box] of boxes) box.disabled = patterns.some((pattern) => covers(pattern, word));
  };
  const groups = Map.groupBy([...new Set([...words, ...chosen])], groupOf);
  const node = el('fieldset', {},
    el('legend', {}, 'Events'),
    [...groups].map(([group, members]) => el('div', { class: 'events', role: 'group', 'aria-label': group },
      members.sort((a, b) => b.endsWith('*') - a.endsWith('*')).map((word) => {
        const box = el('input', { type: 'checkbox', checked: chosen.includes(word), change: update });
        boxes.set(word, box);
        return el('label', { class: 'check' }, box, ' ', label(word));
      }),
      REPORTS.has(group) && el('span', { class: 'hint' }, 'report'))));
  update();
  return { node, value: () => [...boxes].filter(([, box]) => box.checked && !box.disabled).map(([word]) => word) };
}

// ---- all ----

// Those that are loaded are proposed; any other file of the folder may be named.
function scriptField(scripts, chosen) {
  const list = fresh('scripts');
  const input = el('input', { value: chosen ?? '', list, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const names = scripts.filter((script) => !script.global).map((script) => el('option', { value: script.name }));
  const node = field('Script', input, 'The name of a file in the folder of scripts, without .lua; empty: none.');
  node.append(el('datalist', { id: list }, names));
  return { input, node };
}

// { node, value(), show(message, errors), clear() }. scripts: of the API; null: there are none; changed: is told of every change.
export function webhookForm(webhook, { events, scripts, changed }) {
  const name = el('input', { value: webhook.name, required: true, maxlength: 255, autocomplete: 'off' });
  const url = el('input', {
    value: webhook.url, required: true, inputmode: 'url', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false',
  });
  const headers = headersField(webhook.headers);
  const chosen = eventsField(events, webhook.events);
  const enabled = el('input', { type: 'checkbox', checked: webhook.enabled });
  const script = scripts && scriptField(scripts, webhook.script);
  const places = {
    name: field('Name', name),
    url: field('Url', url),
    headers: headers.node,
    events: chosen.node,
    script: script?.node,
    enabled: el('div', { class: 'field' }, el('label', { class: 'check' }, enabled, ' Enabled')),
  };
  const general = el('div', {});
  const pressed = changed && ((event) => event.target.closest('button') && changed());
  const node = el('div', { input: changed, change: changed, click: pressed }, general, Object.values(places));

  function clear() {
    general.replaceChildren();
    for (const old of node.querySelectorAll('.problem')) old.remove();
    for (const old of node.querySelectorAll('[aria-invalid]')) old.removeAttribute('aria-invalid');
  }

  return {
    node,
    value() {
      const result = {
        name: name.value, url: url.value.trim(), headers: headers.value(), events: chosen.value(), enabled: enabled.checked,
      };
      if (script) result.script = script.input.value.trim() || null;
      return result;
    },
    // Each mistake at its field: "headers['X-A']" and "events[1]" at theirs.
    show(message, errors) {
      clear();
      general.append(el('p', { class: 'problem', role: 'alert' }, message));
      for (const [key, messages] of Object.entries(errors)) {
        const place = places[/^\w+/.exec(key)?.[0]] ?? general;
        const prefix = key in places || key === '' ? '' : `${key}: `;
        const id = fresh('problem');
        place.append(el('p', { class: 'problem', id }, prefix + messages.join('; ')));
        const input = place.querySelector('input, select');
        if (place === general || !input) continue;
        input.setAttribute('aria-invalid', 'true');
        input.setAttribute('aria-describedby', id);
      }
      (node.querySelector('[aria-invalid]') ?? name).focus();
    },
    clear,
  };
}
