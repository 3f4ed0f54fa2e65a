// The list of webhooks.
import * as api from './api.js';
import { el } from './dom.js';
import { time } from './format.js';
import { action, badge, confirm, insecure, refresh, say, table } from './ui.js';

const SAMPLE = /^moonpost_webhook_(waiting|held)\{id="(\d+)".*\} (\d+)$/gm;

// How many deliveries of each webhook wait or are held: the metrics know of the first thousand.
async function queues() {
  const result = {};
  for (const [, name, id, value] of (await api.text('metrics')).matchAll(SAMPLE)) (result[id] ??= {})[name] = Number(value);
  return result;
}

export const leftAlone = (webhook) => Boolean(webhook.left_alone_until) && new Date(webhook.left_alone_until) > new Date();

export function condition(webhook) {
  if (!webhook.enabled) return badge('disabled');
  if (leftAlone(webhook)) {
    return [badge('left alone', 'warn'), ' until ', time(webhook.left_alone_until)];
  }
  if (webhook.failing_since) return [badge('failing', 'bad'), ' since ', time(webhook.failing_since)];
  return badge('enabled', 'good');
}

export const fixed = (webhook) => webhook.source === 'config';

function toggle(webhook) {
  const label = webhook.enabled ? 'Disable' : 'Enable';
  return action(label, async () => {
    await api.request('PATCH', `admin/webhooks/${webhook.id}`, { body: { enabled: !webhook.enabled } });
    say(`${webhook.name} is ${webhook.enabled ? 'disabled' : 'enabled'}.`);
    refresh();
  }, { id: `toggle-${webhook.id}`, 'aria-label': `${label} ${webhook.name}` });
}

export async function remove(webhook) {
  if (!await confirm(`Delete the webhook “${webhook.name}”? What it still has to send is not sent.`, 'Delete')) return false;
  await api.request('DELETE', `admin/webhooks/${webhook.id}`);
  say(`${webhook.name} is deleted.`);
  return true;
}

function actions(webhook) {
  if (fixed(webhook)) return badge('read-only: in the config');
  return [toggle(webhook), ' ', action('Delete', async () => {
    if (await remove(webhook)) refresh();
  }, { class: 'danger', 'aria-label': `Delete ${webhook.name}` })];
}

export async function webhooks() {
  const [list, waiting] = await Promise.all([api.data('admin/webhooks'), queues()]);
  const columns = [
    ['Name', (webhook) => [el('a', { class: 'name', href: `#/webhooks/${webhook.id}` }, webhook.name), ' ', insecure(webhook)]],
    ['Url', (webhook) => el('span', { class: 'url' }, webhook.url)],
    ['Events', (webhook) => webhook.events.join(', ')],
    ['State', condition],
    ['Waiting', (webhook) => waiting[webhook.id]?.waiting ?? '–'],
    ['Held', (webhook) => waiting[webhook.id]?.held ?? '–'],
  ];
  if (api.may('write')) columns.push(['Actions', actions]);
  return {
    title: 'Webhooks',
    content: [
      el('p', { class: 'lead' }, 'Get POST changes notifications.'),
      api.may('write') && el('p', {}, el('a', { class: 'button primary', href: '#/webhooks/new' }, 'Add new webhook')),
      table('Webhooks', columns, list, 'There are no webhooks yet.'),
    ],
  };
}
