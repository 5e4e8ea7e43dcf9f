// The board: puts the toolbar, the list, the views, the drawer and the live connection together.

import { lookOf } from './bookings.js';
import { addDays } from './clock.js';
import { Drawer } from './drawer.js';
import { gettext } from './i18n.js';
import { List } from './list.js';
import { Live } from './live.js';
import { page } from './page.js';
import { RoomPlan } from './room-plan.js';
import { messageOf } from './server.js';
import { board, boardChanged, goToDay, onBoardChange, onDayLoaded } from './store.js';
import { Timeline } from './timeline.js';
import { showDate, showLegend, showSectors, showStats } from './toolbar.js';
import { byId, closestTo, errorToast, h, inputById, PHONE, undoLatest } from './ui.js';

/** @import { Proposal } from './booking-form.js' */
/** @import { Block, Booking, Table } from './store.js' */

/**
 * @typedef {'list' | 'timeline' | 'plan'} View
 *
 * @typedef {object} Navigation what the list and the views can open
 * @property {(booking: Booking) => void} openBooking
 * @property {(proposal?: Proposal) => void} openNewBooking
 * @property {(table: Table, at?: number | null) => void} openTable
 * @property {(block: Block) => void} openBlock
 * @property {(view: View) => void} showView
 * @property {(date?: string) => Promise<boolean>} goTo today if without a date; resolves to whether it is shown
 */

const TICK_MS = 15_000;
const STORED_VIEW = 'floor-view';
const STORED_THEME = 'floor-theme';

const drawer = new Drawer();
/** @type {Navigation} */
const navigation = {
  openBooking: (booking) =>
    drawer.leave(() => {
      drawer.showBooking(booking);
      // The drawer may now cover the booking; the timeline is drawn in the next frame.
      if (view === 'timeline') requestAnimationFrame(() => requestAnimationFrame(() => timeline.reveal(booking.id)));
    }),
  openNewBooking: (proposal) => drawer.leave(() => drawer.showNewBooking(proposal)),
  openTable: (table, at) => drawer.leave(() => drawer.showTable(table, at)),
  openBlock: (block) => drawer.leave(() => drawer.showBlock(block)),
  showView,
  goTo,
};
const list = new List(navigation);
const timeline = new Timeline(navigation);
const roomPlan = new RoomPlan(navigation);
/** @type {View} */
let view = 'timeline';

/** @param {View} chosen */
function showView(chosen) {
  view = chosen;
  document.body.dataset.view = view;
  localStorage.setItem(STORED_VIEW, view);
  for (const button of viewButtons) button.setAttribute('aria-pressed', String(button.dataset.view === view));
  boardChanged();
}

/** @param {string} [date] */
async function goTo(date) {
  try {
    return await goToDay(date);
  } catch (refusal) {
    errorToast(messageOf(refusal));
    if (board.loaded) inputById('date').value = board.day.date;
    return false;
  }
}

// --- Drawing -----------------------------------------------------------------------------------------------------

let frame = 0;
onBoardChange(() => {
  // A tab in the background gets no frames: it is drawn when it is looked at again.
  if (!frame) frame = requestAnimationFrame(draw);
});
onDayLoaded(showDate);

function draw() {
  frame = 0;
  if (!board.loaded) return;
  showNotice();
  if (view === 'timeline') timeline.render(byId('view'));
  if (view === 'plan') roomPlan.render(byId('view'));
  list.render();
  drawer.refresh();
  showSectors();
  showStats();
  byId('stage').removeAttribute('aria-busy');
}

/** Say so if there is nothing to book. */
function showNotice() {
  const hasTables = board.tables.size > 0;
  const notice = byId('notice');
  notice.hidden = hasTables && board.day.open.length > 0;
  if (hasTables) notice.replaceChildren(gettext('Closed: there is no service on this day.'));
  else {
    const link = h('a', { class: 'solid', href: page.urls.admin }, gettext('Back office'));
    notice.replaceChildren(gettext('There are no tables yet. Create a sector and its tables first.'), link);
  }
}

let lastLooks = '';
setInterval(() => {
  if (!board.loaded || document.hidden) return;
  // A party turns late, stays over its time, or finds its table occupied by the clock alone.
  const looks = [...board.bookings.values()].map(lookOf).join(' ');
  if (looks !== lastLooks) {
    lastLooks = looks;
    boardChanged();
    return;
  }
  drawer.refresh();
  if (view === 'list') list.render();
  if (view === 'timeline') timeline.tick();
  if (view === 'plan') roomPlan.tick();
  showStats();
}, TICK_MS);

// --- Controls ----------------------------------------------------------------------------------------------------

const viewButtons = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('#views [data-view]'));
for (const button of viewButtons) {
  button.addEventListener('click', () => showView(/** @type {View} */ (button.dataset.view)));
}

const previousDay = () => goTo(addDays(board.day.date, -1));
const nextDay = () => goTo(addDays(board.day.date, 1));
const showKeys = () => byId('keys', HTMLDialogElement).showModal();

/**
 * @param {string} id
 * @param {() => void} action
 */
const onClick = (id, action) => byId(id).addEventListener('click', action);
onClick('prev', () => board.loaded && previousDay());
onClick('next', () => board.loaded && nextDay());
onClick('today', () => goTo());
const showWalkIn = () => drawer.leave(() => drawer.showWalkIn());
onClick('walkin', () => board.loaded && showWalkIn());
onClick('new', () => board.loaded && navigation.openNewBooking());
onClick('help', showKeys);
onClick('theme', () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === 'dark' ? 'light' : 'dark';
  localStorage.setItem(STORED_THEME, root.dataset.theme);
});

const dateInput = inputById('date');
onClick('date', () => dateInput.showPicker?.());
dateInput.addEventListener('change', () => {
  if (dateInput.value) goTo(dateInput.value);
});
const restaurantSelect = byId('restaurant', HTMLSelectElement);
restaurantSelect.addEventListener('change', () => {
  window.location.search = new URLSearchParams({ restaurant: restaurantSelect.value }).toString();
});
document.addEventListener('click', (event) => {
  for (const menu of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll('details.menu[open]'))) {
    if (!menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
  }
});
window.addEventListener('resize', boardChanged);

/** @type {Record<string, () => void>} */
const KEYS = {
  n: () => navigation.openNewBooking(),
  w: showWalkIn,
  t: () => showView('timeline'),
  p: () => showView('plan'),
  '/': () => byId('search').focus(),
  '[': previousDay,
  ']': nextDay,
  '?': showKeys,
};

document.addEventListener('keydown', (event) => {
  if (!board.loaded || closestTo(event, 'input, select, textarea, dialog')) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key !== 'z') return;
    event.preventDefault();
    undoLatest();
    return;
  }
  if (event.altKey) return;
  if (event.key === 'Escape' && drawer.isOpen) {
    event.preventDefault();
    drawer.leave(() => drawer.close());
    return;
  }
  const action = KEYS[key];
  if (!action) return;
  event.preventDefault();
  action();
});

// --- Start -------------------------------------------------------------------------------------------------------

/** The view that was last chosen; only a phone has the list as a view. */
function firstView() {
  const stored = localStorage.getItem(STORED_VIEW);
  if (stored === 'plan' || stored === 'timeline') return stored;
  return PHONE.matches ? 'list' : 'timeline';
}

showLegend();
showView(firstView());
await goTo(new URLSearchParams(window.location.search).get('date') ?? undefined);
// The browser tests reach the connection by this name.
Object.assign(window, { live: new Live() });
