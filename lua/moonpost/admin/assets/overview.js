// Counts, and the webhooks that need a look.
import { data } from './api.js';
import { el } from './dom.js';
import { number, time } from './format.js';
import { badge, button, facts, insecure, refresh } from './ui.js';
import { leftAlone } from './webhooks.js';

const STATES = ['waiting', 'leased', 'delivered', 'dead', 'held', 'filtered'];

const card = (name, value, href) => el('a', { class: `card ${value > 0 ? name : ''}`, href },
  el('span', { class: 'count' }, number(value)), ' ', name);

function attention(webhook) {
  const marks = [
    leftAlone(webhook) && badge('left alone', 'warn'), webhook.failing_since && badge('failing', 'bad'), insecure(webhook),
  ].filter(Boolean);
  if (marks.length === 0) return null;
  return el('li', {}, el('a', { href: `#/webhooks/${webhook.id}` }, webhook.name), ' ', marks.flatMap((mark) => [mark, ' ']),
    webhook.failing_since && ['since ', time(webhook.failing_since)]);
}

export async function overview() {
  const [stats, list] = await Promise.all([data('admin/stats'), data('admin/webhooks')]);
  const { store } = stats;
  const looks = list.map(attention).filter(Boolean);
  return {
    title: 'Overview',
    content: [
      el('section', { 'aria-label': 'Deliveries by state', class: 'cards' },
        STATES.map((name) => card(name, store[name], `#/deliveries?state=${name}`))),
      el('h2', {}, 'Webhooks that need a look'),
      looks.length ? el('ul', {}, looks) : el('p', { class: 'empty' }, 'None: no webhook fails, and all receivers are verified.'),
      el('h2', {}, 'Counts'),
      facts([
        ['Webhooks', number(stats.webhooks)],
        ['Events in the store', number(store.events)],
        ['Deliveries accepted, in all', number(store.accepted)],
        ['They add up', store.adds_up ? 'yes' : badge('no', 'bad')],
        ['Events that this worker accepted since it started', number(stats.accepted)],
        ['Emits that it refused', number(stats.rejected)],
        ['Attempts that it saw fail', number(stats.failed_attempts)],
        ['Keys that no model has, which it dropped', number(stats.dropped_keys)],
      ]),
      button('Refresh', refresh, { id: 'refresh' }),
    ],
  };
}
