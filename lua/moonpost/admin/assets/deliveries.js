// Deliveries: the list with its filters, and one with its attempts.
import * as api from './api.js';
import { el } from './dom.js';
import { milliseconds, pretty, time } from './format.js';
import { action, button, facts, field, go, headerLines, insecure, pager, refresh, say, select, state, table } from './ui.js';

const STATES = ['waiting', 'leased', 'delivered', 'dead', 'held', 'filtered'];

export async function webhooksById() {
  return new Map((await api.data('admin/webhooks')).map((webhook) => [webhook.id, webhook]));
}

const named = (webhook) => (webhook.tls?.insecure ? `${webhook.name} (TLS: not verified)` : webhook.name);

export const webhookChoices = (webhooks) => [...webhooks.values()].map((webhook) => [String(webhook.id), named(webhook)]);

function whose(delivery, webhooks) {
  const webhook = webhooks.get(delivery.webhook_id);
  if (!webhook) return `${delivery.webhook_id} (deleted)`;
  return [el('a', { class: 'name', href: `#/webhooks/${webhook.id}` }, webhook.name), ' ', insecure(webhook)];
}

function filters(query, webhooks) {
  const apply = () => {
    const chosen = { webhook_id: webhook.value, state: states.value, event_id: query.event_id };
    go(`#/deliveries?${new URLSearchParams(Object.entries(chosen).filter(([, value]) => value))}`);
  };
  const webhook = select([['', 'All'], ...webhookChoices(webhooks)], query.webhook_id ?? '', { change: apply, id: 'filter-webhook' });
  const states = select([['', 'All'], ...STATES.map((name) => [name, name])], query.state ?? '', { change: apply, id: 'filter-state' });
  return el('form', { class: 'filters', submit: (event) => event.preventDefault() },
    field('Webhook', webhook), field('State', states), el('div', { class: 'field end' }, button('Refresh', refresh, { id: 'refresh' })));
}

const failure = (last) => (last ? [last.status ?? last.class, last.error].filter(Boolean).join(': ') : '');

export async function deliveries(query) {
  const { webhook_id, state: wanted, event_id, before } = query;
  const [page, webhooks] = await Promise.all([
    api.get('admin/deliveries', { webhook_id, state: wanted, event_id, before, limit: 50 }), webhooksById(),
  ]);
  const columns = [
    ['Delivery', (one) => el('a', { href: `#/deliveries/${one.id}` }, one.event)],
    ['Webhook', (one) => whose(one, webhooks)],
    ['State', (one) => state(one.state)],
    ['Attempts', (one) => one.attempts],
    ['Made', (one) => time(one.created_at)],
    ['Due', (one) => (one.state === 'waiting' ? time(one.due_at) : '–')],
    ['Last answer', (one) => el('span', { class: 'clip' }, failure(one.last))],
  ];
  return {
    title: 'Deliveries',
    content: [
      filters(query, webhooks),
      event_id && el('p', {}, 'Of the event ', el('a', { href: `#/events/${event_id}` }, event_id), '.'),
      table('Deliveries, newest first', columns, page.data, 'There are no such deliveries.'),
      pager('deliveries', { webhook_id, state: wanted, event_id, before }, page.next),
      api.may('write') && el('p', {}, el('a', { href: `#/deliveries/replay?${new URLSearchParams(webhook_id ? { webhook_id } : {})}` },
        'Send the events of a time again')),
    ],
  };
}

// ---- one ----

function attempts(history) {
  return table('Attempts', [
    ['No.', (one) => one.number],
    ['At', (one) => time(one.at)],
    ['Took', (one) => milliseconds(one.duration_ms)],
    ['Status', (one) => one.status ?? one.class ?? '–'],
    ['What was wrong', (one) => one.error ?? ''],
    ['Response', (one) => (one.response ? el('details', {}, el('summary', {}, 'Show'), el('pre', {}, one.response)) : '–')],
  ], history, 'No attempt was made yet.');
}

function resend(one, rerun, label) {
  return action(label, async () => {
    await api.request('POST', `admin/deliveries/${one.id}/resend`, { query: { rerun } });
    say('It is sent again.');
    refresh();
  }, { id: rerun ? 'rerun' : 'resend' });
}

export async function delivery(id) {
  const [one, webhooks] = await Promise.all([api.data(`admin/deliveries/${id}`), webhooksById()]);
  const webhook = webhooks.get(one.webhook_id);
  const fields = Object.entries(one.headers ?? {});
  return {
    title: `Delivery of ${one.event}`,
    content: [
      facts([
        ['Id', el('code', {}, one.id)],
        ['State', state(one.state)],
        ['Webhook', whose(one, webhooks)],
        ['Event', el('a', { href: `#/events/${one.event_id}` }, one.event_id)],
        ['Model', one.model],
        ['Made', time(one.created_at)],
        ['Due', one.state === 'waiting' && time(one.due_at)],
        ['Scripts', one.scripts],
        ['What was wrong', one.last?.error],
      ]),
      el('div', { class: 'buttons' },
        api.may('write') && [resend(one, false, 'Resend'), one.scripts && resend(one, true, 'Resend through the scripts')],
        button('Refresh', refresh, { id: 'refresh' })),
      el('h2', {}, 'Attempts'),
      attempts(one.history),
      el('h2', {}, 'Request'),
      one.body === null ? el('p', { class: 'empty' }, 'Its event is forgotten, and what was sent with it.') : [
        facts([
          ['To', webhook && el('span', { class: 'url' }, webhook.url)],
          ['Content type', one.content_type],
          ['Headers that scripts added', fields.length > 0 && headerLines(fields)],
        ]),
        el('pre', { tabindex: 0, 'aria-label': 'Body' }, pretty(one.body)),
      ],
    ],
  };
}
