// The day on the board: what is known of it, and every act upon it.

import { ask, clock, get, h, icon, post, QUARTER, settle, start, t, toast } from './ui.js';

export const day = {
  data: null,
  date: null,
  sector: '',
  selected: null,
  tables: new Map(),
  bookings: new Map(),
};
const seen = new EventTarget();
export const onChange = (listener) => seen.addEventListener('change', listener);
export function changed() {
  seen.dispatchEvent(new Event('change'));
}
/** A day was read: another, or the same anew. */
export const onDay = (listener) => seen.addEventListener('day', listener);

/** What is asked for last, whichever answer comes last. */
let latest = null;
/** The day that somebody goes to, until it is shown. */
let going = null;
let loading = 0;
/** What was taken in while a day was on its way, which may be older than that. */
const fresh = new Map();

/** Go to a day (none: today). Whether it is shown in the end: somebody may have gone elsewhere meanwhile. */
export async function load(date) {
  const mine = { date };
  going = mine;
  let reading = read(date);
  try {
    for (;;) {
      try {
        if (await reading) return true;
      } catch (refusal) {
        if (reading === latest) throw refusal;
      }
      if (going !== mine) return false;
      // Read anew before it came, and so the same day.
      reading = latest;
    }
  } finally {
    if (going === mine) going = null;
  }
}

/** The day anew, or the one that somebody goes to. A board that showed today shows the new one. */
export function reload() {
  if (going) return read(going.date);
  return read(!day.data || day.date === day.data.today ? undefined : day.date);
}

/** Whether a date is the one shown, or may be the one that somebody goes to. */
export const concerns = (date) => date === day.date || (going !== null && (going.date ?? date) === date);

/** Whether it is shown: not what was asked for before something else. */
function read(date) {
  loading += 1;
  const reading = get('data', { restaurant: start.restaurant, date })
    .then((data) => {
      if (reading === latest) shown(data);
      return reading === latest;
    })
    // Of no use to what is asked for later, which is newer.
    .finally(() => {
      loading -= 1;
      if (!loading) fresh.clear();
    });
  latest = reading;
  return reading;
}

function shown(data) {
  const newer = [...fresh.values()];
  clock.set(data.restaurant.zone, data.now);
  day.data = data;
  day.date = data.date;
  day.tables = new Map(
    data.sectors.flatMap((sector) => sector.tables.map((table) => [table.id, { ...table, sector: sector.id }])),
  );
  day.bookings = new Map(data.bookings.map((booking) => [booking.id, booking]));
  if (day.sector && !data.sectors.some((sector) => sector.id === day.sector)) day.sector = '';
  if (day.selected && !day.bookings.has(day.selected)) day.selected = null;
  newer.forEach(take);
  seen.dispatchEvent(new Event('day'));
  changed();
}

export const LATE = 10 * 60000;
/** How a booking looks now: its status, or that it is late or stays over its time. */
export function tone(booking, at = clock.now()) {
  if (booking.status === 'CONFIRMED' && at > booking.start + LATE) return 'late';
  if (booking.status === 'SEATED' && at > booking.end) return 'over';
  return booking.status;
}
export const toneIcon = (tone) => (tone === 'over' ? 'late' : tone);
export const toneWord = (tone) => t(tone);
export const holds = (booking) => ['CONFIRMED', 'SEATED', 'COMPLETED'].includes(booking.status);
/** What is wrong with a booking's place or time since the set-up was changed; nothing for most. */
export const wrong = (booking) =>
  booking.attention && ['CONFIRMED', 'SEATED'].includes(booking.status) ? t(`wrong-${booking.attention}`) : '';
export const flag = (booking) => (wrong(booking) ? h('span', { class: 'flag' }, icon('flag', t('attention'))) : null);
/** Whether a table may be given to somebody. */
export const usable = (id) => day.tables.has(id) && !day.tables.get(id).retired;
export const endOf = (booking) => Math.max(booking.left ?? booking.end, booking.start + 5 * 60000);
export const called = (booking) =>
  booking.name || (booking.channel === 'walk_in' ? t('walkInGuest') : booking.reference);
export const tableNames = (booking) => booking.tables.map((id) => day.tables.get(id)?.name ?? id).join(' + ');
export const here = (booking) => !day.sector || booking.sector === day.sector;
export const quarterBelow = (ms) => Math.floor(ms / QUARTER) * QUARTER;

/** The parties at each quarter hour, and the guests they bring. */
export function coversAt(from, to) {
  const counts = [];
  for (let at = from; at < to; at += QUARTER) counts.push(0);
  for (const booking of day.bookings.values()) {
    if (!holds(booking) || !here(booking)) continue;
    const first = Math.max(0, Math.floor((booking.start - from) / QUARTER));
    const last = Math.min(counts.length, Math.ceil((endOf(booking) - from) / QUARTER));
    for (let slot = first; slot < last; slot += 1) counts[slot] += booking.party;
  }
  return counts;
}

/** Take in a booking as the server has it now; one of another day leaves this one. */
export function take(booking) {
  if (loading && !(fresh.get(booking.id)?.version > booking.version)) fresh.set(booking.id, booking);
  const known = day.bookings.get(booking.id);
  if (known && known.version > booking.version) return false;
  if (booking.date !== day.date) {
    if (!known) return false;
    day.bookings.delete(booking.id);
  } else {
    day.bookings.set(booking.id, booking);
  }
  changed();
  return true;
}

/** `other`: the booking that is put back along with it. */
function offerUndo(booking, other = null) {
  return async () => {
    try {
      take(await post(`bookings/${booking.id}/undo`, { version: booking.version }));
      if (other) take(await get(`bookings/${other.id}`));
      toast(t('undone'));
    } catch (refusal) {
      toast(refusal.message, { bad: true });
    }
  };
}

const SAID = { seat: 'didSeat', complete: 'didComplete', 'no-show': 'didNoShow', cancel: 'didCancel' };
const BECOMES = { seat: 'SEATED', complete: 'COMPLETED', 'no-show': 'NO_SHOW', cancel: 'CANCELLED' };

/** What snapped back has done so by now. */
const rested = (bookings) =>
  setTimeout(
    () =>
      bookings.forEach((each) => {
        each.back = false;
      }),
    500,
  );

/** Show at once what is asked for; put it back, and say why, when the server refuses. */
async function try_(given, preview, work, text) {
  // The day may have been read anew since the button was drawn or the drag begun.
  const booking = day.bookings.get(given.id) ?? given;
  if (booking.pending) return null;
  const before = { ...booking };
  Object.assign(booking, preview, { pending: true });
  settle();
  changed();
  try {
    const after = await work();
    take(after);
    toast(text(after), { undo: offerUndo(after) });
    return after;
  } catch (refusal) {
    const now = day.bookings.get(booking.id);
    if (now === booking) Object.assign(booking, before, { pending: false, back: true });
    changed();
    toast(refusal.message, { bad: true });
    throw refusal;
  } finally {
    rested([booking]);
  }
}

export const act = (booking, name) =>
  // Once for each state of the booking, however often it is sent.
  try_(
    booking,
    { status: BECOMES[name] },
    () =>
      post(`bookings/${booking.id}/${name}`, {}, `${name}:${booking.id}:${booking.version}`).then(
        ({ again, ...after }) => after,
      ),
    (after) => t(SAID[name], { name: called(after) }),
  ).catch(() => null);

/** `target`: any of start, tables, sector, minutes. */
export function move(booking, target) {
  const body = {};
  const preview = {};
  if (target.start !== undefined && target.start !== booking.start) {
    body.start = new Date(target.start).toISOString();
    preview.start = target.start;
    preview.end = target.start + booking.minutes * 60000;
  }
  if (target.minutes !== undefined && target.minutes !== booking.minutes) {
    body.durationMinutes = target.minutes;
    preview.minutes = target.minutes;
    preview.end = (preview.start ?? booking.start) + target.minutes * 60000;
  }
  if (target.tables && target.tables.join() !== booking.tables.join()) {
    body.tableIds = target.tables;
    preview.tables = target.tables;
    const sector = day.tables.get(target.tables[0]).sector;
    if (sector !== booking.sector) {
      body.sectorId = sector;
      preview.sector = sector;
    }
  }
  if (!Object.keys(body).length) return Promise.resolve(booking);
  return try_(
    booking,
    preview,
    () => post(`bookings/${booking.id}/change`, body),
    (after) => t('didMove', { name: called(after), time: clock.at(after.start), tables: tableNames(after) }),
  ).catch(() => null);
}

/** Offer that two bookings change tables, each at its own time. */
export async function offerSwap(one, other) {
  const goes = (booking, place) =>
    t('swapLine', {
      time: clock.at(booking.start),
      name: called(booking),
      party: booking.party,
      from: tableNames(booking),
      to: tableNames(place),
    });
  if (!(await ask(t('swapAsk'), [goes(one, other), goes(other, one), t('swapTimes')], t('swapYes'), t('swapNo'))))
    return;
  const both = [one, other];
  if (both.some((each) => day.bookings.get(each.id)?.pending)) return;
  const before = both.map(({ tables, sector }) => ({ tables, sector, pending: false }));
  const body = { version: one.version, withBooking: other.id, withVersion: other.version };
  both.forEach((each, index) => Object.assign(each, before[1 - index], { pending: true }));
  settle();
  changed();
  try {
    const { bookings } = await post(`bookings/${one.id}/swap`, body);
    bookings.forEach(take);
    const [first, second] = bookings;
    toast(
      t('didSwap', {
        one: called(first),
        oneTables: tableNames(first),
        other: called(second),
        otherTables: tableNames(second),
      }),
      { undo: offerUndo(first, second) },
    );
  } catch (refusal) {
    both.forEach((each, index) => Object.assign(each, before[index], { back: true }));
    changed();
    toast(refusal.message, { bad: true });
    rested(both);
  }
}

/** Of a form: refusals are the form's to show. */
export async function save(booking, body) {
  const after = await post(`bookings/${booking.id}/change`, body);
  take(after);
  toast(t('didChange', { name: called(after) }));
  return after;
}

/** Take in what was made; where an answer was lost, it may be what was sent before. */
function made({ again, ...booking }, word) {
  take(booking);
  const facts = {
    name: called(booking),
    party: booking.party,
    time: clock.at(booking.start),
    tables: tableNames(booking),
  };
  if (again === 'other') toast(t('bookedBefore', facts), { bad: true });
  else toast(t(word, facts), { undo: offerUndo(booking) });
  return booking;
}

export async function book(body, key) {
  return made(await post('bookings', { restaurantId: start.restaurant, ...body }, key), 'didCreate');
}

export async function walkIn(party, tables, key) {
  const body = { restaurantId: start.restaurant, partySize: party };
  if (tables) body.tableIds = tables;
  else if (day.sector) body.sectorId = day.sector;
  return made(await post('walk-in', body, key), 'didWalkIn');
}

export async function block(tableId, from, to, reason) {
  const made = await post('block', {
    tableId,
    start: new Date(from).toISOString(),
    end: new Date(to).toISOString(),
    reason,
  });
  await reload();
  toast(t('didBlock', { table: day.tables.get(tableId).name }), {
    undo: () => unblock({ id: made.id, table: tableId }, true),
  });
}

export async function unblock(held, quiet = false) {
  try {
    await post('unblock', { tableId: held.table, blockId: held.id });
    await reload();
    const again = quiet
      ? null
      : () =>
          block(held.table, held.start, held.end, held.reason).catch((refusal) =>
            toast(refusal.message, { bad: true }),
          );
    toast(quiet ? t('undone') : t('didUnblock', { table: day.tables.get(held.table).name }), { undo: again });
  } catch (refusal) {
    toast(refusal.message, { bad: true });
  }
}
