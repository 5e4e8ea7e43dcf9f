// What the board changes: every change of a booking or block, shown at once, sent, and undone on demand.

import { displayName, startText, tableNames, tableText } from './bookings.js';
import { isoInstant, MINUTE, wallAt } from './clock.js';
import { coversText, fill, gettext } from './i18n.js';
import { page } from './page.js';
import { get, messageOf, post, Refusal } from './server.js';
import { board, boardChanged, mergeBooking, reloadDay } from './store.js';
import { askToConfirm, errorToast, forgetOffers, toast } from './ui.js';

/** @import { Action } from './page.js' */
/** @import { Block, Booking } from './store.js' */
/** @import { Choice } from './ui.js' */

/**
 * @typedef {object} Target where a booking goes; what is missing stays
 * @property {number} [start]
 * @property {string[]} [tables]
 * @property {number} [minutes]
 */

/** As long as the animation of `.bounced` takes in timeline.css. */
const BOUNCE_MS = 500;

/**
 * Send a change and show its `preview` until the answer is there; put it back and say why if it is refused.
 * @param {Booking} outdated the booking as it was when the button was drawn or the drag began
 * @param {Partial<Booking>} preview
 * @param {() => Promise<Booking>} send
 * @param {(after: Booking) => string} message
 * @param {object} [then]
 * @param {(tables: string[]) => void} [then.choose] tries again with free tables that the refusal names
 * @param {boolean} [then.mayUndo]
 */
async function change(outdated, preview, send, message, { choose, mayUndo = true } = {}) {
  const booking = board.bookings.get(outdated.id) ?? outdated;
  if (booking.pending) return;
  const before = { ...booking };
  Object.assign(booking, preview, { pending: true });
  forgetOffers();
  boardChanged();
  try {
    const after = await send();
    mergeBooking(after);
    toast(message(after), mayUndo ? undoOf(after) : null);
  } catch (refusal) {
    if (board.bookings.get(booking.id) === booking) Object.assign(booking, before, { pending: false, bounced: true });
    boardChanged();
    errorToast(messageOf(refusal), choose ? choicesOf(refusal, choose) : []);
    endBounce([booking]);
  }
}

/**
 * The free tables that a refusal names.
 * @param {unknown} refusal
 * @param {(tables: string[]) => void} choose
 * @returns {Choice[]}
 */
function choicesOf(refusal, choose) {
  if (!(refusal instanceof Refusal)) return [];
  return refusal.alternatives.map(({ sectorId, tableIds }) => {
    const sector = board.day.sectors.length > 1 ? board.day.sectors.find(({ id }) => id === sectorId) : null;
    const text = sector ? `${sector.name} · ${tableNames(tableIds)}` : tableText(tableIds);
    return { text, choose: () => choose(tableIds) };
  });
}

/** @param {Booking[]} bookings */
const endBounce = (bookings) =>
  setTimeout(() => {
    for (const booking of bookings) booking.bounced = false;
  }, BOUNCE_MS);

/**
 * @param {Booking} booking as the change left it
 * @param {Booking | null} other a booking that is put back along with it
 */
function undoOf(booking, other = null) {
  return async () => {
    try {
      mergeBooking(await post(`bookings/${booking.id}/undo`, { version: booking.version }));
      if (other) mergeBooking(await get(`bookings/${other.id}`));
      toast(gettext('Undone.'));
    } catch (refusal) {
      errorToast(messageOf(refusal));
    }
  };
}

/** @type {Record<Action, () => string>} */
const DONE = {
  seat: () => gettext('%(name)s seated.'),
  complete: () => gettext('%(name)s: completed.'),
  'no-show': () => gettext('%(name)s: no-show.'),
  cancel: () => gettext('%(name)s: cancelled.'),
};

/**
 * @param {Booking} booking
 * @param {Action} action
 */
export function changeStatus(booking, action) {
  // One key for each version of the booking, so that an action is done once, however often it is sent.
  const key = `${action}:${booking.id}:${booking.version}`;
  return change(
    booking,
    { status: page.actions[action].to },
    () => post(`bookings/${booking.id}/${action}`, {}, key),
    (after) => fill(DONE[action](), { name: displayName(after) }),
    action === 'seat' ? { choose: (tables) => seatAt(booking, tables) } : {},
  );
}

/**
 * Seat a party at other tables than its own.
 * @param {Booking} booking
 * @param {string[]} tables
 */
function seatAt(booking, tables) {
  const key = `seat:${booking.id}:${booking.version}:${tables}`;
  const sector = board.tables.get(tables[0])?.sector ?? booking.sector;
  return change(
    booking,
    { status: page.actions.seat.to, tables, sector },
    () => post(`bookings/${booking.id}/seat`, { tableIds: tables }, key),
    (after) =>
      fill(gettext('%(name)s seated at %(tables)s.'), { name: displayName(after), tables: tableNames(after.tables) }),
    { choose: (others) => seatAt(booking, others) },
  );
}

/**
 * Put a booking back to the status that it had before.
 * @param {Booking} booking
 */
export function putBack(booking) {
  return change(
    booking,
    {},
    () => post(`bookings/${booking.id}/reopen`, {}, `reopen:${booking.id}:${booking.version}`),
    (after) =>
      fill(gettext('%(name)s is back to: %(status)s.'), {
        name: displayName(after),
        status: page.statuses[after.status].label,
      }),
    { mayUndo: false },
  );
}

/**
 * @param {Booking} booking
 * @param {Target} target
 */
export function move(booking, target) {
  /** @type {Record<string, unknown>} */
  const body = {};
  /** @type {Partial<Booking>} */
  const preview = {};
  if (target.start !== undefined && target.start !== booking.start) {
    body.start = isoInstant(target.start);
    preview.start = target.start;
    preview.end = target.start + booking.minutes * MINUTE;
  }
  if (target.minutes !== undefined && target.minutes !== booking.minutes) {
    body.durationMinutes = target.minutes;
    preview.minutes = target.minutes;
    preview.end = (preview.start ?? booking.start) + target.minutes * MINUTE;
  }
  if (target.tables && target.tables.join() !== booking.tables.join()) {
    body.tableIds = target.tables;
    preview.tables = target.tables;
    const sector = board.tables.get(target.tables[0])?.sector;
    if (sector && sector !== booking.sector) {
      body.sectorId = sector;
      preview.sector = sector;
    }
  }
  if (!Object.keys(body).length) return;
  if (preview.end !== undefined) preview.wall = [wallAt(preview.start ?? booking.start), wallAt(preview.end)];
  change(
    booking,
    preview,
    () => post(`bookings/${booking.id}/change`, body),
    (after) =>
      fill(gettext('%(name)s: now %(time)s, %(tables)s.'), {
        name: displayName(after),
        time: startText(after),
        tables: tableNames(after.tables),
      }),
    { choose: (tables) => move(booking, { ...target, tables }) },
  );
}

/**
 * Offer that two bookings swap their tables, each at its own time.
 * @param {Booking} one
 * @param {Booking} other
 */
export async function offerSwap(one, other) {
  /** @type {(booking: Booking, to: Booking) => string} */
  const line = (booking, to) =>
    fill(gettext('%(time)s %(name)s (%(party)s): table %(from)s → %(to)s'), {
      time: startText(booking),
      name: displayName(booking),
      party: booking.party,
      from: tableNames(booking.tables),
      to: tableNames(to.tables),
    });
  const lines = [line(one, other), line(other, one), gettext('Both keep their times.')];
  const agreed = await askToConfirm(gettext('Swap tables?'), lines, gettext('Swap tables'), gettext('Leave as is'));
  if (!agreed) return;
  const both = [one, other];
  if (both.some(({ id }) => board.bookings.get(id)?.pending)) return;
  const before = both.map(({ tables, sector }) => ({ tables, sector, pending: false }));
  both.forEach((booking, index) => {
    Object.assign(booking, before[1 - index], { pending: true });
  });
  forgetOffers();
  boardChanged();
  try {
    const body = { version: one.version, withBooking: other.id, withVersion: other.version };
    /** @type {{ bookings: Booking[] }} */
    const { bookings } = await post(`bookings/${one.id}/swap`, body);
    bookings.forEach(mergeBooking);
    const [first, second] = bookings;
    const message = fill(gettext('%(one)s: now %(oneTables)s. %(other)s: now %(otherTables)s.'), {
      one: displayName(first),
      oneTables: tableNames(first.tables),
      other: displayName(second),
      otherTables: tableNames(second.tables),
    });
    toast(message, undoOf(first, second));
  } catch (refusal) {
    both.forEach((booking, index) => {
      Object.assign(booking, before[index], { bounced: true });
    });
    boardChanged();
    errorToast(messageOf(refusal));
    endBounce(both);
  }
}

/**
 * Save a booking's form.
 * @param {Booking} booking
 * @param {object} body
 * @throws {Refusal} for the form to show
 */
export async function saveBooking(booking, body) {
  /** @type {Booking} */
  const after = await post(`bookings/${booking.id}/change`, body);
  mergeBooking(after);
  toast(fill(gettext('%(name)s: saved.'), { name: displayName(after) }));
  return after;
}

/**
 * Show a new booking. Where the answer to an earlier request was lost, it may be the one of that request, and
 * differ from what was sent now.
 * @param {Booking & { again?: 'same' | 'other' }} booking
 * @param {string} message
 */
function showNew(booking, message) {
  mergeBooking(booking);
  const facts = {
    name: displayName(booking),
    party: booking.party,
    covers: coversText(booking.party),
    time: startText(booking),
    tables: tableNames(booking.tables),
  };
  if (booking.again === 'other') {
    const different = gettext(
      'It was booked the first time: %(name)s, %(covers)s, %(time)s, %(tables)s. Your later changes are not in it.',
    );
    errorToast(fill(different, facts));
  } else {
    toast(fill(message, facts), undoOf(booking));
  }
  return booking;
}

/**
 * @param {object} body
 * @param {string} key the idempotency key
 * @throws {Refusal} for the form to show
 */
export async function createBooking(body, key) {
  const booking = await post('bookings', { restaurantId: page.restaurant, ...body }, key);
  return showNew(booking, gettext('%(name)s, %(covers)s: booked for %(time)s, %(tables)s.'));
}

/**
 * @param {number} party
 * @param {string[] | null} tables the best free ones if null
 * @param {string} key the idempotency key
 * @throws {Refusal} for the drawer to show
 */
export async function seatWalkIn(party, tables, key) {
  /** @type {Record<string, unknown>} */
  const body = { restaurantId: page.restaurant, partySize: party };
  if (tables) body.tableIds = tables;
  else if (board.sector) body.sectorId = board.sector;
  showNew(await post('walk-in', body, key), gettext('Walk-in of %(party)s seated at %(tables)s.'));
}

/**
 * @param {Omit<Block, 'id'>} block
 * @throws {Refusal} for the form to show
 */
export async function blockTable({ table, start, end, reason }) {
  const body = { tableId: table, start: isoInstant(start), end: isoInstant(end), reason };
  const { id } = await post('block', body);
  await reloadDay();
  toast(fill(gettext('Table %(table)s is blocked.'), { table: tableNames([table]) }), async () => {
    if (await removeBlock({ table, id })) toast(gettext('Undone.'));
  });
}

/** @param {Block} block */
export async function unblockTable(block) {
  if (!(await removeBlock(block))) return;
  toast(fill(gettext('Table %(table)s is back in service.'), { table: tableNames([block.table]) }), () => {
    blockTable(block).catch((refusal) => errorToast(messageOf(refusal)));
  });
}

/**
 * Resolves to whether it succeeded; else the refusal was shown.
 * @param {Pick<Block, 'table' | 'id'>} block
 */
async function removeBlock({ table, id }) {
  try {
    await post('unblock', { tableId: table, blockId: id });
    await reloadDay();
    return true;
  } catch (refusal) {
    errorToast(messageOf(refusal));
    return false;
  }
}
