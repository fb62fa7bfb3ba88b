// What the console adds where JavaScript runs: live pages, keys, copying, and times in the reader's zone.
// Every page works without it.

const main = () => document.getElementById('main');

// Times: the exact one as the title, in the reader's own zone; those of plots as well.
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(undefined, { day: '2-digit', month: 'short' });
function localTimes(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const text = exact.format(new Date(time.dateTime));
    if ('exact' in time.dataset) time.textContent = text;
    else time.title = text;
  }
  const marks = root.querySelectorAll('[data-time]');
  for (const mark of marks) {
    const at = new Date(mark.dataset.time * 1000);
    mark.textContent = (at.getHours() || at.getMinutes() ? clock : day).format(at);
  }
  if (marks.length) for (const it of root.querySelectorAll('[data-utc]')) it.hidden = true;
}

// What works with a script alone is shown; copying, only where the browser lets a page do it: over TLS, or on this machine.
function enhance(root) {
  localTimes(root);
  for (const it of root.querySelectorAll(`[data-help], [data-all]${navigator.clipboard ? ', [data-copy]' : ''}`)) it.hidden = false;
}

// Brings `before` to what `after` is: nodes that stay keep their focus, selection and state.
function morph(before, after) {
  for (const { name } of [...before.attributes]) {
    if (!after.hasAttribute(name) && !kept(before, name)) before.removeAttribute(name);
  }
  for (const { name, value } of after.attributes) {
    if (before.getAttribute(name) !== value && !kept(before, name)) before.setAttribute(name, value);
  }
  const named = new Map([...before.children].filter((it) => it.id).map((it) => [it.id, it]));
  let place = before.firstChild;
  for (const wanted of [...after.childNodes]) {
    const same = wanted.id ? named.get(wanted.id) : alike(place, wanted) ? place : null;
    if (!same) {
      before.insertBefore(wanted, place);
      continue;
    }
    if (same === place) place = place.nextSibling;
    else before.insertBefore(same, place);
    if (same.nodeType === Node.ELEMENT_NODE) morph(same, wanted);
    else if (same.data !== wanted.data) same.data = wanted.data;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}
const kept = (node, name) => name === 'open' && node.matches('details');
const alike = (a, b) => a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && !a.id;

// The page as it is now, in place of the one that is shown. What was done is still said, and whoever is at a row or had the
// focus on something that is gone keeps a place to go on from.
function show(page) {
  const found = page.getElementById('main');
  const notice = main().querySelector(':scope > .notice');
  if (notice && !found.querySelector(':scope > .notice')) found.prepend(notice.cloneNode(true));
  enhance(found);
  const row = current()?.id;
  const focused = main().contains(document.activeElement);
  document.title = page.title;
  morph(main(), found);
  if (row) document.getElementById(row)?.classList.add('current');
  if (focused && !main().contains(document.activeElement)) main().focus({ preventScroll: true });
}

// Live pages: fetched again while they are looked at, and not while somebody types, selects or decides.
let failures = 0;
function busy() {
  const active = document.activeElement;
  return document.hidden || document.querySelector('dialog[open]') || !getSelection().isCollapsed
    || active?.matches('main input:not([type=checkbox]), main textarea, main select')
    || main().querySelector('input[type=checkbox]:checked')
    || [...main().querySelectorAll('input, textarea')].some((it) => it.value !== it.defaultValue);
}
let timer = 0;
let fresh = new Date();
const LONGEST = 10_000; // milliseconds for one page
async function refresh() {
  clearTimeout(timer);
  const seconds = Number(main().dataset.live);
  if (!seconds) return;
  if (!busy()) {
    try {
      const headers = { Accept: 'text/html', 'Tidings-Refresh': '1' }; // which does not keep a session from idling out
      const reply = await fetch(location.href, { headers, signal: AbortSignal.timeout(LONGEST) });
      if (!reply.ok) throw new Error(reply.status);
      if (reply.redirected && !busy()) return location.reload(); // the session has ended
      const page = new DOMParser().parseFromString(await reply.text(), 'text/html');
      if (!reply.redirected && !busy()) show(page);
      failures = 0;
      fresh = new Date();
    } catch {
      failures += 1;
    }
  }
  const stale = document.getElementById('stale');
  stale.hidden = !failures;
  stale.textContent = failures ? `Not updated since ${exact.format(fresh)}: the console does not answer, or has no data. Trying again…` : '';
  clearTimeout(timer);
  timer = setTimeout(refresh, seconds * 1000 * Math.min(12, 1 + failures));
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });

// Keys. What a key presses is said by the page: data-key on links and buttons, data-go in the navigation. What stands in a
// row is pressed for the row that one is at, and for no other.
let going = false;
function rows() {
  return [...main().querySelectorAll('[data-row]')];
}
function walk(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains('current'));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
  all[at]?.classList.remove('current');
  next.classList.add('current');
  (next.querySelector('a') ?? next.querySelector('input[type=checkbox]'))?.focus();
  next.scrollIntoView({ block: 'nearest' });
}
function press(target) {
  if (target.matches('input, textarea')) target.focus();
  else target.click();
}
const current = () => document.querySelector('[data-row].current');
const keys = { // each with what it does, and the part of a page without which it does nothing
  j: ['Next row', () => walk(1), '[data-row]'],
  k: ['Previous row', () => walk(-1), '[data-row]'],
  Enter: ['Open the row', null, '[data-row] a'],
  x: ['Tick the row', () => current()?.querySelector('input[type=checkbox]')?.click(), '[data-row] [type=checkbox]'],
  '/': ['Filter', () => document.querySelector('[data-filter]')?.focus(), '[data-filter]'],
  Escape: ['Leave the field', null, 'main'],
  '?': ['These shortcuts', () => help(), 'main'],
};
function keyed(key) {
  const found = [...document.querySelectorAll('[data-key]')].filter((it) => it.dataset.key === key && it.checkVisibility());
  return found.find((it) => current()?.contains(it)) ?? found.find((it) => !it.closest('[data-row]'));
}
function help() {
  const dialog = document.getElementById('help');
  if (!dialog || dialog.open) return;
  const entries = Object.entries(keys).filter(([, [, , part]]) => document.querySelector(part)).map(([key, [text]]) => [key, text]);
  for (const it of main().querySelectorAll('[data-key]')) {
    const text = (it.dataset.means ?? it.getAttribute('aria-label') ?? it.textContent).trim().replace(/\s+/g, ' ');
    if (!entries.some(([key]) => key === it.dataset.key)) entries.push([it.dataset.key, text]);
  }
  for (const it of document.querySelectorAll('.frame > nav [data-go]')) {
    entries.push([`g ${it.dataset.go}`, `Go to ${it.textContent.trim()}`]);
  }
  const list = dialog.querySelector('dl');
  list.replaceChildren(...entries.flatMap(([key, text]) => {
    const term = Object.assign(document.createElement('dt'), { textContent: key });
    const meaning = Object.assign(document.createElement('dd'), { textContent: text });
    return [term, meaning];
  }));
  dialog.showModal();
}
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector('dialog[open]')) return;
  if (event.target.matches('input:not([type=checkbox], [type=radio]), textarea, select')) {
    if (event.key === 'Escape') event.target.blur();
    // Enter presses the button beside a field, in a form of several.
    const beside = event.key === 'Enter' && event.target.closest('.pair, .menu-panel.bulk')?.querySelector('button');
    if (beside) {
      event.preventDefault();
      beside.click();
    }
    return;
  }
  const went = going && document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
  going = !went && event.key === 'g';
  const target = !went && !going && keyed(event.key);
  const action = keys[event.key]?.[1];
  if (!went && !target && !action) return;
  event.preventDefault();
  if (went) went.click();
  else if (target) press(target);
  else action();
});

// Copying, ticking all, and menus that close when one looks elsewhere.
document.addEventListener('click', async (event) => {
  const copy = event.target.closest('[data-copy]');
  if (copy) {
    await navigator.clipboard.writeText(copy.parentElement.querySelector('code').textContent);
    copy.textContent = 'Copied';
  }
  const all = event.target.closest('[data-all]');
  if (all) for (const box of all.form.querySelectorAll('[data-row] input[type=checkbox]')) box.checked = all.checked;
  if (event.target.closest('[data-help]')) help();
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// What a button opens is written into.
document.addEventListener('toggle', ({ target }) => {
  if (!target.open || !target.querySelector(':scope > summary.button')) return;
  target.querySelector('input:not([type=hidden], [type=checkbox]), textarea')?.focus();
}, true);

// A form is sent once, however often its button is pressed; a download's may be sent again after a while.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.method !== 'post') return;
  if ('sent' in form.dataset) event.preventDefault();
  form.dataset.sent = '';
  setTimeout(() => delete form.dataset.sent, 3000);
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (menu.contains(document.activeElement)) menu.querySelector('summary').focus();
    menu.open = false;
  }
});

// What takes a while is loaded after the page: the part with the same id of another page.
async function load(part) {
  try {
    const reply = await fetch(part.dataset.load);
    if (!reply.ok || reply.redirected) return;
    const found = new DOMParser().parseFromString(await reply.text(), 'text/html').getElementById(part.id);
    enhance(found);
    part.replaceWith(found);
  } catch { /* its link is there */ }
}

// Plots: the numbers below the pointer.
document.addEventListener('pointermove', ({ target, clientX }) => {
  const plot = target.closest?.('[data-plot]');
  for (const it of document.querySelectorAll('.readout')) it.hidden = it.parentElement !== plot?.parentElement;
  if (!plot) return;
  const { left, right, since, seconds } = plot.dataset;
  const lines = [...plot.querySelectorAll('[data-values]')].map((it) => [it.dataset.name, it.dataset.values.split(' ')]);
  const last = Math.max(0, ...lines.map(([, values]) => values.length - 1));
  const box = plot.getBoundingClientRect();
  const x = (clientX - box.left) / box.width * plot.viewBox.baseVal.width;
  const at = Math.max(0, Math.min(last, Math.round((x - left) / (right - left) * last)));
  const middle = Number(left) + (right - left) * (last && at / last);
  plot.querySelector('.cursor').setAttribute('d', `M${middle} 0V${plot.viewBox.baseVal.height - 22}`);
  const when = exact.format(new Date((Number(since) + at * seconds) * 1000));
  const numbers = lines.map(([name, values]) => `${name} ${values[at]}`).join(' · ');
  plot.parentElement.querySelector('.readout').textContent = `${when} · ${numbers}`;
});

// Forms that are checked while one types: problems, what changes, and the other half of the form.
let checking = 0;
async function check(form, source) {
  const turn = ++checking;
  const body = new URLSearchParams(new FormData(form));
  const reply = await fetch(form.dataset.check, { method: 'POST', body }).catch(() => null);
  if (turn !== checking || !reply) return;
  const line = (tag, text, kind = '') => Object.assign(document.createElement(tag), { textContent: text, className: kind });
  const problem = (text) => form.querySelector('[data-problems]').replaceChildren(line('p', text, 'error'));
  if ([401, 409].includes(reply.status)) problem('Your session has ended. Press Check to go on: what you typed is kept.');
  if (!reply.ok) return;
  const { problems, changes, values } = await reply.json();
  for (const [name, value] of Object.entries(values)) {
    const it = form.elements.namedItem(name);
    if (it && it !== source && it.value !== value) it.value = value;
  }
  for (const it of form.elements) {
    const name = it.name.startsWith('field.') && it.name.slice(6);
    if (name) it.setAttribute('aria-invalid', problems.some((text) => text.startsWith(name)));
  }
  form.querySelector('[data-problems]').replaceChildren(...problems.map((text) => line('p', text, 'error')));
  const shown = (changes ?? ['Nothing yet.']).filter((text) => !/^(---|\+\+\+|@@)/.test(text));
  form.querySelector('[data-changes]').replaceChildren(...shown.map(
    (text) => line(text[0] === '+' ? 'ins' : text[0] === '-' ? 'del' : 'span', text)));
  if (form.contains(document.activeElement)) document.activeElement.scrollIntoView({ block: 'nearest' }); // it may have been pushed out of sight
}
let pause;
document.addEventListener('input', ({ target }) => {
  if (!target.form?.dataset.check || !/^(raw$|field\.)/.test(target.name)) return;
  checking += 1; // an answer that is under way is old
  clearTimeout(pause);
  pause = setTimeout(check, 300, target.form, target);
});
setInterval(() => {
  for (const it of document.querySelectorAll('[data-countdown]')) {
    it.textContent = it.dataset.countdown = Math.max(0, it.dataset.countdown - 1);
  }
}, 1000);

enhance(document);
document.querySelectorAll('[data-load]').forEach(load);
timer = setTimeout(refresh, 1000 * Number(main().dataset.live || 0));
