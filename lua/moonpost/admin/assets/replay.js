// Sending the events of a time again to one webhook.
import * as api from './api.js';
import { el } from './dom.js';
import { number } from './format.js';
import { action, field, problem, select } from './ui.js';
import { webhookChoices, webhooksById } from './deliveries.js';

const STATES = [
  ['dead', 'Those whose delivery is dead'], ['held', 'Those that a script holds'], ['all', 'All that the webhook wants'],
];

// What the browser reads in its own time zone.
const instant = (input) => (input.value ? new Date(input.value).toISOString() : undefined);

export async function replay({ webhook_id: chosen }) {
  if (!api.may('write')) return { title: 'Not allowed', content: 'This needs the scope write.' };
  const webhook = select([['', 'Choose one'], ...webhookChoices(await webhooksById())], chosen ?? '');
  const states = select(STATES, 'dead');
  const since = el('input', { type: 'datetime-local', step: 1 });
  const until = el('input', { type: 'datetime-local', step: 1 });
  const result = el('div', { role: 'status', class: 'outcome' });

  // A request makes ten thousand at most; next goes on where it ended.
  async function run(body, before) {
    result.replaceChildren('Pending…');
    try {
      const { data } = await api.request('POST', 'admin/deliveries/replay', { body });
      const sum = before + data.count;
      result.replaceChildren(el('p', {}, `${number(sum)} ${sum === 1 ? 'delivery is' : 'deliveries are'} made again. `,
        el('a', { href: `#/deliveries?webhook_id=${body.webhook_id}` }, 'Look at them')));
      if (data.next) result.append(action('There may be more: go on', () => run({ ...body, after: data.next }, sum)));
    } catch (error) {
      result.replaceChildren(problem(error));
      if (error.status === 401) throw error;
    }
  }

  const start = action('Replay', () => run({
    webhook_id: webhook.value, state: states.value, since: instant(since), until: instant(until),
  }, 0), { class: 'primary', id: 'replay' });
  return {
    title: 'Replay',
    content: el('form', {
      class: 'narrow',
      submit: (event) => {
        event.preventDefault();
        start.click();
      },
    },
    el('p', {}, 'Sends the events of a time again to one webhook, oldest first.'),
    field('Webhook', webhook), field('Events', states), field('Since', since, 'Empty: from the oldest that is kept.'),
    field('Until', until, 'Empty: to the newest.'), el('div', { class: 'buttons' }, start), result),
  };
}
