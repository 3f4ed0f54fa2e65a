// The scripts that are loaded, and what is wrong with those that are not.
import * as api from './api.js';
import { el } from './dom.js';
import { milliseconds, number } from './format.js';
import { action, badge, problem, refresh, say, table } from './ui.js';

function status(script) {
  if (script.error) return [badge('not loaded', 'bad'), el('pre', {}, script.error)];
  if (script.paused) return [badge('paused', 'warn'), script.last_failure && el('pre', {}, script.last_failure)];
  return [badge('loaded', 'good'),
    script.last_failure && el('details', {}, el('summary', {}, 'Last failure'), el('pre', {}, script.last_failure))];
}

function reload() {
  const failed = el('div', {});
  const node = action('Load all anew', async () => {
    const { data } = await api.request('POST', 'admin/scripts/reload');
    if (data.failed.length === 0) {
      say(`${data.loaded.length} loaded.`);
      refresh();
      return;
    }
    failed.replaceChildren(...data.failed.map(({ script, error }) => problem({ message: `${script}: ${error}` })),
      el('p', {}, 'Their last good version stays.'));
  }, { id: 'reload' });
  return el('div', {}, el('p', {}, node), failed);
}

export async function scripts() {
  if (!(await api.description()).scripts) {
    return { title: 'Scripts', content: el('p', { class: 'empty' }, 'The config names no folder of scripts (webhooks.scripts).') };
  }
  return {
    title: 'Scripts',
    content: [
      api.may('write') && reload(),
      table('Scripts', [
        ['Name', (one) => [one.name, one.global && [' ', badge('global')]]],
        ['Version', (one) => (one.version ? el('code', {}, one.version) : '–')],
        ['State', status],
        ['Calls', (one) => number(one.calls)],
        ['Errors', (one) => number(one.errors)],
        ['CPU', (one) => milliseconds(one.cpu_ms)],
        ['Memory', (one) => `${number(Math.ceil(one.memory / 1024))} KiB`],
      ], await api.data('admin/scripts'), 'There are no scripts in the folder.'),
    ],
  };
}
