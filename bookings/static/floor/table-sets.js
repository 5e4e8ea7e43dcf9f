// Which tables a booking gets when it is dragged over a table: one for one, a set as a set.

import { beginsAt, endsAt, isInUse, isOpen, occupiesTables } from './bookings.js';
import { MINUTE } from './clock.js';
import { board } from './store.js';

/** @import { Booking, Sector } from './store.js' */

/**
 * The positions of tables in their sector's list, ascending.
 * @param {Sector} sector
 * @param {string[]} ids
 */
const positionsOf = (sector, ids) =>
  ids.map((id) => sector.tables.findIndex((table) => table.id === id)).sort((a, b) => a - b);

/**
 * @param {string[]} one
 * @param {string[]} other
 */
const isSameSet = (one, other) => one.length === other.length && one.every((id) => other.includes(id));

/**
 * @param {Sector} sector
 * @param {string} id
 */
const neighboursOf = (sector, id) =>
  sector.joins.filter((pair) => pair.includes(id)).map(([first, second]) => (first === id ? second : first));

/**
 * Whether these tables of a sector may be put together, as far as the board can tell: the server decides.
 * @param {Sector} sector
 * @param {string[]} ids
 */
function mayJoin(sector, ids) {
  if (!ids.every(isInUse)) return false;
  if (sector.combos.some((combo) => isSameSet(combo, ids))) return true;
  if (ids.some((id) => !board.tables.get(id)?.combinable)) return false;
  if (!sector.joins.length) return true;
  const reached = new Set([ids[0]]);
  // A set that grows while it is walked is walked to its end.
  for (const id of reached) {
    for (const neighbour of neighboursOf(sector, id)) if (ids.includes(neighbour)) reached.add(neighbour);
  }
  return reached.size === ids.length;
}

/**
 * Every set of `size` tables around `id` that joins allow, and every combo of that size.
 * @param {Sector} sector
 * @param {string} id
 * @param {number} size
 */
function setsAround(sector, id, size) {
  let sets = [[id]];
  while (sets.length && sets[0].length < size) {
    /** @type {Map<string, string[]>} */
    const grown = new Map();
    for (const set of sets) {
      for (const neighbour of set.flatMap((member) => neighboursOf(sector, member))) {
        if (set.includes(neighbour) || !board.tables.get(neighbour)?.combinable) continue;
        const larger = [...set, neighbour].sort();
        grown.set(larger.join('\n'), larger);
      }
    }
    sets = [...grown.values()];
  }
  const combos = sector.combos.filter((combo) => combo.length === size && combo.includes(id) && combo.every(isInUse));
  return [...sets, ...combos];
}

/**
 * The tables for a booking that was grabbed at one of its tables and dragged over another. A set keeps its shape
 * if the tables there may be joined; else it becomes the nearest set of the same size that may; else the one
 * table if that seats the party. What is not possible is returned as it is, for the server to say why.
 * @param {Booking} booking
 * @param {string} grabbed
 * @param {string} over
 */
export function tablesOver(booking, grabbed, over) {
  if (booking.tables.length === 1) return [over];
  const sector = sectorOf(board.tables.get(over)?.sector);
  const home = sectorOf(booking.sector);
  if (!sector || !home) return [over];
  const own = positionsOf(home, booking.tables);
  const shift = positionsOf(sector, [over])[0] - positionsOf(home, [grabbed])[0];
  let positions = own.map((position) => position + shift);
  const beyondEnd = Math.max(0, positions[positions.length - 1] - sector.tables.length + 1);
  const beforeStart = Math.max(0, -positions[0]);
  positions = positions.map((position) => position - beyondEnd + beforeStart);
  const shifted = positions.flatMap((position) => sector.tables[position]?.id ?? []);
  const fits = shifted.length === positions.length;
  if (fits && mayJoin(sector, shifted)) return shifted;
  /** @type {(set: string[]) => number} */
  const distance = (set) =>
    positionsOf(sector, set).reduce((sum, position, index) => sum + Math.abs(position - positions[index]), 0);
  const sets = setsAround(sector, over, booking.tables.length).sort((a, b) => distance(a) - distance(b));
  if (sets.length) return sets[0];
  return !fits || maySeat([over], booking.party) ? [over] : shifted;
}

/** @param {string | undefined} id */
const sectorOf = (id) => board.day.sectors.find((sector) => sector.id === id);

/**
 * Whether tables seat a party, as far as the board can tell: what several seat together is the server's to judge.
 * @param {string[]} ids
 * @param {number} party
 */
function maySeat(ids, party) {
  const table = board.tables.get(ids[0]);
  return ids.length > 1 || !table || (table.min <= party && party <= table.max);
}

/**
 * The one booking at the place where `booking` would go, if the two could swap tables; else null.
 * @param {Booking} booking
 * @param {{ start: number, tables: string[] }} target
 */
export function swapPartner(booking, target) {
  const end = target.start + booking.minutes * MINUTE;
  const there = [...board.bookings.values()].filter(
    (other) =>
      other.id !== booking.id &&
      occupiesTables(other) &&
      beginsAt(other) < end &&
      endsAt(other) > target.start &&
      other.tables.some((id) => target.tables.includes(id)),
  );
  if (there.length !== 1) return null;
  const [other] = there;
  if (other.pending || !isOpen(other) || isSameSet(other.tables, booking.tables)) return null;
  if (!booking.tables.every(isInUse)) return null;
  return maySeat(other.tables, booking.party) && maySeat(booking.tables, other.party) ? other : null;
}
