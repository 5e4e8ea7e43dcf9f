// The bars above the views: the date, the sectors, the day's figures and the legend.

import { isInShownSector, occupiesTables, toneIcon, toneLabel } from './bookings.js';
import { dateText, now } from './clock.js';
import { gettext, ngettext } from './i18n.js';
import { page } from './page.js';
import { board, boardChanged } from './store.js';
import { byId, h, icon, inputById, PHONE } from './ui.js';

/** @import { Booking } from './store.js' */

/** Show the date of the day that was loaded, and put it into the address and the links. */
export function showDate() {
  const { date, today } = board.day;
  inputById('date').value = date;
  byId('dateText').textContent = dateText(date, !PHONE.matches);
  byId('today', HTMLButtonElement).disabled = date === today;
  const query = new URLSearchParams({ restaurant: page.restaurant, date }).toString();
  byId('toSheet', HTMLAnchorElement).href = `${page.urls.floor}sheet?${query}`;
  byId('toCsv', HTMLAnchorElement).href = `${page.urls.floor}export.csv?${query}`;
  byId('toIcal', HTMLAnchorElement).href = `${page.urls.floor}export.ics?${query}`;
  const url = new URL(window.location.href);
  url.searchParams.set('restaurant', page.restaurant);
  if (date === today) url.searchParams.delete('date');
  else url.searchParams.set('date', date);
  history.replaceState(null, '', url);
}

export function showSectors() {
  const element = byId('sectors');
  if (element.contains(document.activeElement)) {
    // Drawn anew, the tabs would lose the focus.
    for (const tab of element.children) {
      tab.setAttribute('aria-pressed', String(tab.getAttribute('data-sector') === board.sector));
    }
    return;
  }
  /** @type {(id: string, name: string) => HTMLElement} */
  const tab = (id, name) => {
    const onclick = () => {
      board.sector = id;
      boardChanged();
    };
    const properties = { type: 'button', 'data-sector': id, 'aria-pressed': String(board.sector === id), onclick };
    return h('button', properties, name);
  };
  element.replaceChildren(tab('', gettext('All')), ...board.day.sectors.map(({ id, name }) => tab(id, name)));
}

export function showStats() {
  const bookings = [...board.bookings.values()].filter(
    (booking) => occupiesTables(booking) && isInShownSector(booking),
  );
  const covers = sumOfCovers(bookings);
  /** @type {[number, string][]} */
  const stats = [
    [bookings.length, ngettext('booking', 'bookings', bookings.length)],
    [covers, ngettext('cover', 'covers', covers)],
  ];
  if (board.day.date === board.day.today) {
    const seated = sumOfCovers(bookings.filter((booking) => booking.status === 'SEATED'));
    const free = freeTablesNow(bookings);
    stats.push([seated, gettext('seated')], [free, ngettext('free table', 'free tables', free)]);
  }
  byId('stats').replaceChildren(
    ...stats.map(([figure, label]) => h('div', {}, h('dt', {}, label), h('dd', {}, String(figure)))),
  );
}

/** @param {Booking[]} bookings */
const sumOfCovers = (bookings) => bookings.reduce((sum, booking) => sum + booking.party, 0);

/** @param {Booking[]} bookings */
function freeTablesNow(bookings) {
  const at = now();
  const blocks = board.day.blocks.filter(({ start, end }) => start <= at && at < end);
  const taken = new Set([...blocks.map(({ table }) => table), ...board.day.heldTables]);
  for (const { status, start, end, tables } of bookings) {
    const isExpected = status === 'CONFIRMED' && start <= at && at < end;
    if (status === 'SEATED' || isExpected) for (const id of tables) taken.add(id);
  }
  const tables = [...board.tables.values()].filter(
    (table) => !table.retired && (!board.sector || table.sector === board.sector),
  );
  return tables.filter(({ id }) => !taken.has(id)).length;
}

export function showLegend() {
  const tones = /** @type {const} */ (['CONFIRMED', 'late', 'SEATED', 'COMPLETED']);
  /** @type {(name: string, label: string) => HTMLElement} */
  const entry = (name, label) => h('li', {}, icon(toneIcon(name)), label);
  byId('legend').replaceChildren(
    ...tones.map((tone) => entry(tone, toneLabel(tone))),
    entry('block', gettext('Blocked')),
  );
}
