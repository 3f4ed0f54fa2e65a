// Events: the list, and one with the text that is sent.
import * as api from './api.js';
import { el } from './dom.js';
import { pretty, time } from './format.js';
import { facts, field, go, pager, select, table } from './ui.js';

function filter(types, chosen) {
  const type = select([['', 'All'], ...types.map((name) => [name, name])], chosen ?? '', {
    id: 'filter-type', change: () => go(type.value ? `#/events?${new URLSearchParams({ type: type.value })}` : '#/events'),
  });
  return el('form', { class: 'filters', submit: (event) => event.preventDefault() }, field('Type', type));
}

export async function events({ type, before }) {
  const [page, described] = await Promise.all([api.get('admin/events', { type, before, limit: 50 }), api.description()]);
  const types = described.events.filter((word) => !word.endsWith('*'));
  return {
    title: 'Events',
    content: [
      filter(types, type),
      table('Events, newest first', [
        ['Event', (one) => el('a', { href: `#/events/${one.id}` }, one.id)],
        ['Type', (one) => one.type],
        ['Model', (one) => one.model ?? '–'],
        ['Time', (one) => time(one.created_at)],
        ['Routing', (one) => one.routing ?? ''],
        ['Deliveries', (one) => el('a', { href: `#/deliveries?event_id=${one.id}`, 'aria-label': `Deliveries of ${one.id}` }, 'Show')],
      ], page.data, 'There are no such events.'),
      pager('events', { type, before }, page.next),
    ],
  };
}

export async function event(id) {
  const one = await api.data(`admin/events/${id}`);
  return {
    title: one.type,
    content: [
      facts([
        ['Id', el('code', {}, one.id)], ['Model', one.model], ['Key', one.key], ['Time', time(one.created_at)],
        ['Routing', one.routing], ['A script failed', one.routing_error],
        ['Deliveries', el('a', { href: `#/deliveries?event_id=${one.id}` }, 'Show')],
      ]),
      el('h2', {}, 'Body'),
      el('pre', { tabindex: 0, 'aria-label': 'Body' }, pretty(one.body)),
    ],
  };
}
