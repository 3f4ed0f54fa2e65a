// What the Node peers share: the arguments, and the line that they print.
import { readFileSync } from 'node:fs';

// Runs send, which answers how many requests it made, and prints what it took. CPU is all of this process's.
export async function measure(send) {
  const cpu = process.cpuUsage();
  const at = process.hrtime.bigint();
  const requests = await send();
  const seconds = Number(process.hrtime.bigint() - at) / 1e9;
  const used = process.cpuUsage(cpu);
  const line = { requests, seconds, cpu_seconds: (used.user + used.system) / 1e6 };
  console.log(JSON.stringify(line));
}

export function readBody(path) {
  return readFileSync(path, 'utf8');
}

export function check(status) {
  if (status !== 200) throw new Error(`answered with status ${status}`);
}
