// The board: puts the views, the rail, the drawer and the live connection together.

import { Panel } from './drawer.js';
import { List } from './list.js';
import { Live } from './live.js';
import { Plan } from './room-plan.js';
import { changed, day, here, holds, load, onChange, onDay, tone } from './store.js';
import { Timeline } from './timeline.js';
import { addDays, byId, clock, dateWords, h, start, t, toast, undoLatest } from './ui.js';

const panel = new Panel();
const open = {
  booking: (booking) => {
    panel.booking(booking);
    // The drawer may have taken the place where it was.
    if (view === 'timeline')
      requestAnimationFrame(() => requestAnimationFrame(() => views.timeline.reveal(booking.id)));
  },
  create: (given) => panel.create(given),
  table: (table, at) => panel.table(table, at),
  block: (held) => panel.block(held),
  redraw: () => changed(),
  view: (name) => show(name),
  go: (date) => go(date),
};
const views = { timeline: new Timeline(open), plan: new Plan(open) };
const list = new List(open);
let view = 'timeline';

function show(name) {
  view = name;
  document.body.dataset.view = name;
  localStorage.setItem('floor-view', name);
  for (const each of byId('views').children) each.setAttribute('aria-pressed', String(each.dataset.view === name));
  changed();
}

let drawn = 0;
onChange(() => {
  if (drawn) return;
  drawn = requestAnimationFrame(() => {
    drawn = 0;
    if (day.data) draw();
  });
  // A tab in the background gets no frames; it is right again when it is looked at.
});

function draw() {
  const none = !day.tables.size;
  byId('notice').hidden = !none && day.data.open.length > 0;
  byId('notice').replaceChildren(
    t(none ? 'noTables' : 'closedDay'),
    none ? h('a', { class: 'solid', href: start.urls.admin }, t('backOffice')) : '',
  );
  if (view !== 'list') views[view].render(byId('view'));
  list.render();
  panel.refresh();
  sectors();
  stats();
  byId('stage').removeAttribute('aria-busy');
}

function sectors() {
  if (byId('sectors').contains(document.activeElement)) {
    for (const each of byId('sectors').children)
      each.setAttribute('aria-pressed', String(each.dataset.sector === day.sector));
    return;
  }
  const tab = (id, name) =>
    h(
      'button',
      {
        type: 'button',
        'data-sector': id,
        'aria-pressed': String(day.sector === id),
        onclick: () => {
          day.sector = id;
          changed();
        },
      },
      name,
    );
  byId('sectors').replaceChildren(
    tab('', t('allSectors')),
    ...day.data.sectors.map((sector) => tab(sector.id, sector.name)),
  );
}

function stats() {
  const mine = [...day.bookings.values()].filter((each) => holds(each) && here(each));
  const now = clock.now();
  const taken = new Set(
    mine
      .filter(
        (each) => each.status === 'SEATED' || (each.status === 'CONFIRMED' && each.start <= now && now < each.end),
      )
      .flatMap((each) => each.tables),
  );
  for (const held of day.data.blocks) if (held.start <= now && now < held.end) taken.add(held.table);
  const tables = [...day.tables.values()].filter(
    (each) => !each.retired && (!day.sector || each.sector === day.sector),
  );
  const fact = (count, word) => [count, t(count === 1 ? `${word}One` : word)];
  const people = (bookings) => bookings.reduce((sum, each) => sum + each.party, 0);
  const facts = [fact(mine.length, 'bookings'), fact(people(mine), 'covers')];
  if (day.date === day.data.today)
    facts.push(
      [people(mine.filter((each) => each.status === 'SEATED')), t('seatedNow')],
      fact(tables.filter((each) => !taken.has(each.id)).length, 'freeTables'),
    );
  byId('stats').replaceChildren(
    ...facts.map(([number, word]) => h('div', {}, h('dt', {}, word), h('dd', {}, String(number)))),
  );
}

function dated() {
  byId('date').value = day.date;
  byId('dateText').textContent = dateWords(day.date, window.innerWidth > 820);
  const query = new URLSearchParams({ restaurant: start.restaurant, date: day.date }).toString();
  byId('toSheet').href = `${start.urls.floor}sheet?${query}`;
  byId('toCsv').href = `${start.urls.floor}export.csv?${query}`;
  byId('toIcal').href = `${start.urls.floor}export.ics?${query}`;
  byId('today').disabled = day.date === day.data.today;
  const url = new URL(window.location);
  url.searchParams.set('restaurant', start.restaurant);
  if (day.date === day.data.today) url.searchParams.delete('date');
  else url.searchParams.set('date', day.date);
  history.replaceState(null, '', url);
}

async function go(date) {
  try {
    return await load(date);
  } catch (refusal) {
    toast(refusal.message, { bad: true });
    if (day.date) byId('date').value = day.date;
    return false;
  }
}

byId('prev').addEventListener('click', () => go(addDays(day.date, -1)));
byId('next').addEventListener('click', () => go(addDays(day.date, 1)));
byId('today').addEventListener('click', () => go(undefined));
byId('date').addEventListener('change', (event) => {
  if (event.target.value) go(event.target.value);
});
onDay(dated);
byId('date').addEventListener('click', (event) => event.target.showPicker?.());
byId('restaurant').addEventListener('change', (event) => {
  window.location.search = new URLSearchParams({ restaurant: event.target.value }).toString();
});
byId('walkin').addEventListener('click', () => {
  if (day.data) panel.walkIn();
});
byId('new').addEventListener('click', () => {
  if (day.data) panel.create();
});
byId('help').addEventListener('click', () => byId('keys').showModal());
byId('theme').addEventListener('click', () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === 'dark' ? 'light' : 'dark';
  localStorage.setItem('floor-theme', root.dataset.theme);
});
for (const each of byId('views').children) each.addEventListener('click', () => show(each.dataset.view));
document.addEventListener('click', (event) => {
  for (const menu of document.querySelectorAll('details.menu[open]'))
    if (!menu.contains(event.target)) menu.open = false;
});

const KEYS = {
  n: () => panel.create(),
  w: () => panel.walkIn(),
  '/': () => byId('search').focus(),
  t: () => show('timeline'),
  p: () => show('plan'),
  '[': () => go(addDays(day.date, -1)),
  ']': () => go(addDays(day.date, 1)),
  '?': () => byId('keys').showModal(),
};
document.addEventListener('keydown', (event) => {
  if (!day.data || event.target.closest('input, select, textarea, dialog')) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z') {
    event.preventDefault();
    undoLatest();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape' && panel.showing) {
    panel.close();
    return;
  }
  const work = KEYS[event.key.toLowerCase()];
  if (work) {
    event.preventDefault();
    work();
  }
});
window.addEventListener('resize', () => changed());
let tones = '';
setInterval(() => {
  if (day.data && !document.hidden) {
    // Who is late, or stays over their time, is so by the clock alone.
    const now = [...day.bookings.values()].map((booking) => tone(booking)).join();
    if (now !== tones) {
      tones = now;
      changed();
      return;
    }
    if (view === 'list') list.render();
    else views[view].tick();
    stats();
  }
}, 15000);

const kept = localStorage.getItem('floor-view');
show(
  window.innerWidth > 820 && kept === 'list' ? 'timeline' : (kept ?? (window.innerWidth > 820 ? 'timeline' : 'list')),
);
go(new URLSearchParams(window.location.search).get('date') ?? undefined).then(() => {
  window.live = new Live();
});
