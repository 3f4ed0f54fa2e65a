// Times, durations, counts and JSON for people.
import { el } from './dom.js';

const SHORT = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });
const NUMBER = new Intl.NumberFormat();

export const number = (value) => NUMBER.format(value);

export function time(iso) {
  if (!iso) return '–';
  const date = new Date(iso);
  return el('time', { datetime: iso, title: iso }, Number.isNaN(date.getTime()) ? iso : SHORT.format(date));
}

export function milliseconds(value) {
  if (value === undefined || value === null) return '–';
  return value < 1000 ? `${Math.round(value * 10) / 10} ms` : `${Math.round(value / 10) / 100} s`;
}

const TOKEN = /"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;

// Indents JSON without reading it, so that numbers keep their digits; what is no JSON stays as it is.
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let result = '', depth = 0, last = '';
  const line = () => '\n' + '  '.repeat(depth);
  for (const token of text.match(TOKEN)) {
    const opened = last === '{' || last === '[';
    if (token === '}' || token === ']') {
      depth--;
      result += (opened ? '' : line()) + token;
    } else {
      if (opened || last === ',') result += line();
      result += token === ':' ? ': ' : token;
      if (token === '{' || token === '[') depth++;
    }
    last = token;
  }
  return result;
}
