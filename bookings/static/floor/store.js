// The board's state: the service day shown with its tables and bookings, and how a day is loaded.

import { setClock } from './clock.js';
import { page } from './page.js';
import { get } from './server.js';

/** @import { Status } from './page.js' */

/**
 * @typedef {object} Table
 * @property {string} id
 * @property {string} name
 * @property {number} min
 * @property {number} max
 * @property {boolean} combinable
 * @property {boolean} retired out of use, but on the board because bookings are still at it
 * @property {number} x centimetres on the room plan, as y, w and h
 * @property {number} y
 * @property {number} w
 * @property {number} h
 * @property {string} shape
 *
 * @typedef {object} Sector
 * @property {string} id
 * @property {string} name
 * @property {Table[]} tables
 * @property {[string, string][]} joins pairs of tables that may be put together; none means that any may
 * @property {string[][]} combos
 *
 * @typedef {object} StoryEntry
 * @property {string} label
 * @property {string} wall when it happened, on the restaurant's clocks
 * @property {string} by
 * @property {boolean} undone
 *
 * @typedef {object} Booking
 * @property {string} id
 * @property {string} reference
 * @property {string} sector
 * @property {string[]} tables
 * @property {string} date
 * @property {number} start
 * @property {number} end
 * @property {[string, string]} wall start and end as the guest was told, on the restaurant's clocks
 * @property {number | null} seatedAt when the party sat down
 * @property {number | null} left when the party left its tables
 * @property {number} minutes
 * @property {number} party
 * @property {Status} status
 * @property {string[]} attention why staff must look at the booking, empty for no reason
 * @property {string} channel
 * @property {string} name
 * @property {string} phone
 * @property {string} email
 * @property {string} notes
 * @property {number} version
 * @property {StoryEntry[]} [story] only where a single booking was read
 * @property {boolean} [pending] shown as if a change that was sent had succeeded
 * @property {boolean} [bounced] put back after a refusal, for as long as the animation takes
 * @property {boolean} [flash] just changed by another person, for as long as the animation takes
 *
 * @typedef {object} Block
 * @property {string} id
 * @property {string} table
 * @property {number} start
 * @property {number} end
 * @property {string} reason
 *
 * @typedef {object} Day
 * @property {{ id: string, name: string, zone: string }} restaurant
 * @property {string} date
 * @property {string} today
 * @property {number} now
 * @property {[number, number][]} offsets of the restaurant's clocks, for setClock
 * @property {number} from the first instant that the timeline shows
 * @property {number} to the last one
 * @property {[number, number][]} open opening and closing instants of each service window
 * @property {Sector[]} sectors
 * @property {Booking[]} bookings
 * @property {string[]} heldTables those at which a party of another service day still sits
 * @property {Block[]} blocks
 * @property {[number, number][]} turns turn times as [party up to, minutes]
 * @property {number} occupiedMarginMinutes how near a booking's start is when its table counts as occupied
 * @property {{ party: [number, number], minutes: [number, number] }} bounds
 * @property {string | null} cursor the event that the day is as new as
 * @property {{ create: boolean, update: boolean, cancel: boolean, tables: boolean }} may
 */

/** @type {Day} */
const NO_DAY = {
  restaurant: { id: page.restaurant, name: '', zone: 'UTC' },
  date: '',
  today: '',
  now: 0,
  offsets: [],
  from: 0,
  to: 0,
  open: [],
  sectors: [],
  bookings: [],
  heldTables: [],
  blocks: [],
  turns: [],
  occupiedMarginMinutes: 0,
  bounds: { party: [1, 1], minutes: [0, 0] },
  cursor: null,
  may: { create: false, update: false, cancel: false, tables: false },
};

export const board = {
  /** Whether a day is shown; until then `day` is an empty one. */
  loaded: false,
  day: NO_DAY,
  /** The sector that the views are limited to, empty for all. */
  sector: '',
  /** @type {string | null} The id of the booking in the drawer. */
  selected: null,
  /** @type {Map<string, Table & { sector: string }>} */
  tables: new Map(),
  /** @type {Map<string, Booking>} */
  bookings: new Map(),
};

const events = new EventTarget();

/** @param {() => void} listener */
export const onBoardChange = (listener) => events.addEventListener('change', listener);
export const boardChanged = () => events.dispatchEvent(new Event('change'));

/**
 * Called whenever a day was loaded: another one, or the same again.
 * @param {() => void} listener
 */
export const onDayLoaded = (listener) => events.addEventListener('day', listener);

/**
 * The latest reading of a day. Answers to earlier ones are ignored, whichever comes last.
 * @type {Promise<boolean> | null}
 */
let latestReading = null;
let readingsUnderWay = 0;
/**
 * The day that the user goes to, until it is shown; without a date it is today.
 * @type {{ date: string | undefined } | null}
 */
let destination = null;
/**
 * Bookings merged while a day is read; the answer may be older than they are.
 * @type {Map<string, Booking>}
 */
const mergedMeanwhile = new Map();

/**
 * Go to a day. Resolves to false if the user went elsewhere before it was shown.
 * @param {string} [date] today if missing
 * @throws {Refusal}
 */
export async function goToDay(date) {
  const mine = { date };
  destination = mine;
  /** @type {Promise<boolean> | null} */
  let reading = readDay(date);
  try {
    for (;;) {
      try {
        if (await reading) return true;
      } catch (refusal) {
        if (reading === latestReading) throw refusal;
      }
      if (destination !== mine) return false;
      // A reload overtook this reading, and reads the same day.
      reading = latestReading;
    }
  } finally {
    if (destination === mine) destination = null;
  }
}

/** Load the day again, or the one that the user goes to. A board that showed today shows the new today. */
export function reloadDay() {
  if (destination) return readDay(destination.date);
  return readDay(!board.loaded || board.day.date === board.day.today ? undefined : board.day.date);
}

/**
 * Whether a date is the one shown, or may be the one that the user goes to.
 * @param {string} date
 */
export const isOnBoard = (date) =>
  date === board.day.date || (destination !== null && (destination.date ?? date) === date);

/**
 * Resolves to whether the day is shown: not if another was requested meanwhile.
 * @param {string} [date]
 */
function readDay(date) {
  readingsUnderWay += 1;
  /** @type {Promise<boolean>} */
  const reading = get('data', { restaurant: page.restaurant, date })
    .then((day) => {
      if (reading === latestReading) showDay(day);
      return reading === latestReading;
    })
    .finally(() => {
      readingsUnderWay -= 1;
      // Readings that start from here on are newer than what was merged.
      if (!readingsUnderWay) mergedMeanwhile.clear();
    });
  latestReading = reading;
  return reading;
}

/** @param {Day} day */
function showDay(day) {
  const newer = [...mergedMeanwhile.values()];
  setClock(day.now, day.offsets);
  board.loaded = true;
  board.day = day;
  board.tables = new Map();
  for (const sector of day.sectors) {
    for (const table of sector.tables) board.tables.set(table.id, { ...table, sector: sector.id });
  }
  board.bookings = new Map(day.bookings.map((booking) => [booking.id, booking]));
  if (!day.sectors.some((sector) => sector.id === board.sector)) board.sector = '';
  if (board.selected && !board.bookings.has(board.selected)) board.selected = null;
  newer.forEach(mergeBooking);
  events.dispatchEvent(new Event('day'));
  boardChanged();
}

/**
 * Take in a booking as the server has it now; one that went to another day leaves the board. Returns whether
 * that changed the board.
 * @param {Booking} booking
 */
export function mergeBooking(booking) {
  const meanwhile = mergedMeanwhile.get(booking.id);
  if (readingsUnderWay && !(meanwhile && meanwhile.version > booking.version)) {
    mergedMeanwhile.set(booking.id, booking);
  }
  const shown = board.bookings.get(booking.id);
  if (shown && shown.version > booking.version) return false;
  if (booking.date === board.day.date) board.bookings.set(booking.id, booking);
  else if (!board.bookings.delete(booking.id)) return false;
  boardChanged();
  return true;
}
