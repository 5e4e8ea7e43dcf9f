// The drawer's forms for a booking: to change one, and to make a new one at a suggested table.

import { createBooking, saveBooking } from './actions.js';
import { seatsText, startText, tableNames } from './bookings.js';
import { floorToQuarter, isoInstant, now, QUARTER, timeText, wallTimeText } from './clock.js';
import { fieldOf, labelled, numberOrText, partyStepper, submit, valuesOf } from './forms.js';
import { fill, gettext } from './i18n.js';
import { page } from './page.js';
import { get, messageOf, newKey } from './server.js';
import { board } from './store.js';
import { h } from './ui.js';

/** @import { Booking } from './store.js' */

/**
 * @typedef {object} Proposal what a new booking's form starts with
 * @property {number} [start]
 * @property {string[]} [tables]
 *
 * @typedef {object} Candidate
 * @property {string[]} tables
 * @property {string} sector
 * @property {number} score from 0 to 100
 *
 * @typedef {{ start: number, wall: string }} NearestStart
 *
 * @typedef {object} Suggestions
 * @property {Candidate[]} candidates
 * @property {string} why why there is no candidate
 * @property {NearestStart[]} nearest start times that would work
 */

const STEP_MINUTES = 15;
const DEFAULT_PARTY = 2;
const SUGGEST_DELAY_MS = 180;

/** The form's guest fields and the request's. */
const GUEST_FIELDS = /** @type {const} */ ([
  ['name', 'guestName'],
  ['phone', 'guestPhone'],
  ['email', 'guestEmail'],
  ['notes', 'notes'],
]);

// --- Fields ------------------------------------------------------------------------------------------------------

/**
 * The service day's quarter hours in which one may start. A wall-clock time that comes twice that night is offered
 * once, the first time.
 * @param {number} start
 * @param {string | null} text that of a start which must be offered as it is, even if it comes twice, is outside the
 *   hours, or was promised by other rules of the time zone than the day's
 */
function startSelect(start, text) {
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const [opens, closes] of board.day.open) {
    for (let at = opens; at < closes; at += QUARTER) if (!times.has(timeText(at))) times.set(timeText(at), at);
  }
  const chosen = text === null ? (times.get(timeText(start)) ?? start) : start;
  const offered = [...new Set([...times.values(), chosen])].sort((a, b) => a - b);
  return h(
    'select',
    { name: 'start' },
    ...offered.map((at) => {
      const isChosen = at === chosen;
      return h('option', { value: at, selected: isChosen }, (isChosen && text) || timeText(at));
    }),
  );
}

/**
 * @param {number | null} minutes null for the turn time of the party
 */
function durationSelect(minutes) {
  const [shortest, longest] = board.day.bounds.minutes;
  /** @type {number[]} */
  const lengths = [];
  for (let length = Math.ceil(shortest / STEP_MINUTES) * STEP_MINUTES; length <= longest; length += STEP_MINUTES) {
    lengths.push(length);
  }
  if (minutes !== null && !lengths.includes(minutes)) lengths.push(minutes);
  return h(
    'select',
    { name: 'minutes' },
    minutes === null && h('option', { value: '' }, turnTimeText(DEFAULT_PARTY)),
    ...lengths
      .sort((a, b) => a - b)
      .map((length) =>
        h(
          'option',
          { value: length, selected: length === minutes },
          fill(gettext('%(minutes)s min'), { minutes: length }),
        ),
      ),
  );
}

/** @param {number} party */
function turnTimeText(party) {
  const { turns } = board.day;
  const [, minutes] = turns.find(([upTo]) => party <= upTo) ?? turns[turns.length - 1];
  return fill(gettext('Usual (%(minutes)s min)'), { minutes });
}

/** @param {{ name: string, phone: string, email: string, notes: string }} values */
function guestFields({ name, phone, email, notes }) {
  return [
    labelled(
      gettext('Name'),
      'name',
      h('input', { name: 'name', value: name, maxlength: 200, autocomplete: 'off' }),
      'wide',
    ),
    labelled(
      gettext('Phone'),
      'phone',
      h('input', { name: 'phone', type: 'tel', value: phone, maxlength: 32, autocomplete: 'off' }),
    ),
    labelled(
      gettext('E-mail'),
      'email',
      h('input', { name: 'email', type: 'email', value: email, maxlength: 254, autocomplete: 'off' }),
    ),
    labelled(gettext('Notes'), 'notes', h('textarea', { name: 'notes', maxlength: 1000 }, notes), 'wide'),
  ];
}

/** @param {string[]} chosen */
function tableSelect(chosen) {
  const select = h('select', { name: 'tables', multiple: true, size: '4' });
  for (const sector of board.day.sectors) {
    const options = sector.tables.map((table) => {
      const remark = table.retired
        ? gettext('Out of use')
        : fill(gettext('seats %(seats)s'), { seats: seatsText(table) });
      const isChosen = chosen.includes(table.id);
      const properties = { value: table.id, selected: isChosen, disabled: table.retired && !isChosen };
      return h('option', properties, `${table.name} (${remark})`);
    });
    select.append(h('optgroup', { label: sector.name }, ...options));
  }
  return select;
}

/** @param {HTMLSelectElement} select */
const selectedTables = (select) => [...select.selectedOptions].map((option) => option.value);

/**
 * @param {string[]} one
 * @param {string[]} other
 */
const isSameSet = (one, other) => [...one].sort().join() === [...other].sort().join();

// --- An existing booking -----------------------------------------------------------------------------------------

/**
 * @param {Booking} booking
 * @param {(after: Booking | null) => void} done called with the saved booking; with null if nothing was changed
 */
export function changeForm(booking, done) {
  const date = h('input', { type: 'date', name: 'date', value: booking.date, min: '2000-01-01', max: '2099-12-31' });
  const tables = tableSelect(booking.tables);
  const start = floorToQuarter(booking.start);
  const startsAtQuarter = start === booking.start;
  const onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const body = changedFields(booking, valuesOf(form), selectedTables(tables));
    if (!Object.keys(body).length) {
      done(null);
      return;
    }
    await submit(form, async () => {
      const after = await saveBooking(booking, body);
      delete form.dataset.touched;
      done(after);
    });
  };
  const oninput = () => {
    form.dataset.touched = 'true';
  };
  const form = h(
    'form',
    { class: 'fields', novalidate: true, oninput, onsubmit },
    labelled(gettext('Party'), 'party', partyStepper(booking.party, false), 'wide'),
    labelled(gettext('Time'), 'start', startSelect(start, startsAtQuarter ? startText(booking) : timeText(start))),
    labelled(gettext('Duration'), 'minutes', durationSelect(booking.minutes)),
    labelled(gettext('Tables'), 'tables', tables, 'wide'),
    ...guestFields(booking),
    labelled(gettext('Move to another day'), 'date', date, 'wide'),
    h('button', { class: 'solid wide' }, gettext('Save changes')),
  );
  return form;
}

/**
 * The body of a change: only what differs.
 * @param {Booking} booking
 * @param {Record<string, string>} values
 * @param {string[]} tables
 */
function changedFields(booking, values, tables) {
  /** @type {Record<string, unknown>} */
  const body = {};
  if (Number(values.party) !== booking.party) body.partySize = numberOrText(values.party);
  if (Number(values.minutes) !== booking.minutes) body.durationMinutes = Number(values.minutes);
  if (values.date !== booking.date) body.date = values.date;
  else if (Number(values.start) !== floorToQuarter(booking.start)) body.start = isoInstant(Number(values.start));
  if (tables.length && !isSameSet(tables, booking.tables)) {
    body.tableIds = tables;
    body.sectorId = board.tables.get(tables[0])?.sector ?? null;
  }
  for (const [field, parameter] of GUEST_FIELDS) if (values[field] !== booking[field]) body[parameter] = values[field];
  return body;
}

// --- A new booking -----------------------------------------------------------------------------------------------

/**
 * @param {Proposal} proposal
 * @param {(booking: Booking) => void} done
 */
export function newBookingForm(proposal, done) {
  // The board may go to another day while this is filled in.
  const { date } = board.day;
  const key = newKey();
  const seats = proposal.tables?.length === 1 ? board.tables.get(proposal.tables[0])?.max : undefined;
  const party = Math.min(DEFAULT_PARTY, seats ?? DEFAULT_PARTY);
  const tables = new TableChoice(proposal.tables ?? null, date);
  const onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const values = valuesOf(form);
    /** @type {Record<string, unknown>} */
    const body = { partySize: numberOrText(values.party), date, start: isoInstant(Number(values.start)) };
    if (values.minutes) body.durationMinutes = Number(values.minutes);
    if (tables.chosen.length) body.tableIds = tables.chosen;
    else if (board.sector) body.sectorId = board.sector;
    for (const [field, parameter] of GUEST_FIELDS) if (values[field]) body[parameter] = values[field];
    await submit(form, async () => {
      const booking = await createBooking(body, key);
      delete form.dataset.touched;
      done(booking);
    });
  };
  // A touch screen would show its keyboard over the form.
  const stepper = partyStepper(party, matchMedia('(pointer: fine)').matches);
  const duration = durationSelect(null);
  const turnTime = duration.querySelector('option[value=""]');
  const form = h(
    'form',
    { class: 'fields', novalidate: true, onsubmit },
    labelled(gettext('Party'), 'party', stepper, 'wide'),
    labelled(gettext('Time'), 'start', startSelect(floorToQuarter(proposal.start ?? nextStart()), null)),
    labelled(gettext('Duration'), 'minutes', duration),
    h('div', { class: 'wide' }, tables.element),
    ...guestFields({ name: '', phone: '', email: '', notes: '' }),
    h('button', { class: 'solid wide' }, gettext('Book')),
  );
  const suggest = () => {
    const guests = Number(valuesOf(form).party);
    if (turnTime && guests > 0) turnTime.textContent = turnTimeText(guests);
    tables.suggest(form);
  };
  /** @type {number | undefined} */
  let timer;
  form.addEventListener('input', (event) => {
    form.dataset.touched = 'true';
    const { name } = /** @type {HTMLInputElement} */ (event.target);
    if (!['party', 'start', 'minutes'].includes(name)) return;
    clearTimeout(timer);
    timer = setTimeout(suggest, SUGGEST_DELAY_MS);
  });
  suggest();
  return form;
}

/** The next quarter hour in which the restaurant is open. */
function nextStart() {
  const at = now();
  const service = board.day.open.find(([, closes]) => closes > at) ?? board.day.open[0];
  return service ? Math.max(service[0], floorToQuarter(at) + QUARTER) : board.day.from;
}

/** The part of a new booking's form that shows the tables it could have, or the times that would work. */
class TableChoice {
  /**
   * @param {string[] | null} proposed the tables that the user clicked
   * @param {string} date
   */
  constructor(proposed, date) {
    this.proposed = proposed;
    this.date = date;
    /** The tables to book; none for the best free ones. */
    this.chosen = proposed ?? [];
    this.element = h('div', { class: 'wide options', 'aria-live': 'polite' });
    this.requests = 0;
  }

  /** @param {HTMLFormElement} form */
  async suggest(form) {
    const values = valuesOf(form);
    const party = Number(values.party);
    this.requests += 1;
    const request = this.requests;
    if (!(party > 0)) return;
    /** @type {Suggestions} */
    const suggestions = await get('suggest', {
      restaurant: page.restaurant,
      date: this.date,
      start: isoInstant(Number(values.start)),
      party,
      minutes: values.minutes,
      sector: this.proposed ? '' : board.sector,
    }).catch((refusal) => ({ candidates: [], nearest: [], why: messageOf(refusal) }));
    if (request === this.requests) this.show(suggestions, form);
  }

  /**
   * @param {Suggestions} suggestions
   * @param {HTMLFormElement} form
   */
  show({ candidates, nearest, why }, form) {
    this.element.replaceChildren();
    if (why) this.element.append(h('p', { class: 'alert' }, why));
    if (candidates.length || this.proposed) {
      this.element.append(h('span', { class: 'sr-only' }, gettext('Available tables')));
    }
    if (this.proposed) {
      this.offer(this.proposed, fill(gettext('Selected: table %(table)s'), { table: tableNames(this.proposed) }), '');
    } else if (candidates.length) {
      this.offer([], gettext('Best free table'), tableNames(candidates[0].tables));
    }
    for (const { tables, sector, score } of candidates) {
      const sectorName = board.day.sectors.find(({ id }) => id === sector)?.name ?? '';
      const fit = fill(gettext('fit %(score)s'), { score: Math.round(score) });
      this.offer(tables, `${sectorName} · ${tableNames(tables)}`, fit);
    }
    if (nearest.length) this.offerTimes(nearest, form);
  }

  /**
   * @param {string[]} tables
   * @param {string} text
   * @param {string} remark
   */
  offer(tables, text, remark) {
    const value = tables.join();
    const onclick = () => {
      this.chosen = tables;
      for (const button of this.element.querySelectorAll('[data-tables]')) {
        button.setAttribute('aria-pressed', String(button.getAttribute('data-tables') === value));
      }
    };
    const pressed = String(value === this.chosen.join());
    const properties = { type: 'button', 'data-tables': value, 'aria-pressed': pressed, onclick };
    this.element.append(h('button', properties, h('span', {}, text), h('small', {}, remark)));
  }

  /**
   * @param {NearestStart[]} nearest
   * @param {HTMLFormElement} form
   */
  offerTimes(nearest, form) {
    /** @type {HTMLSelectElement} */
    const select = fieldOf(form, 'start');
    const buttons = nearest.map(({ start, wall }) => {
      const onclick = () => {
        if (![...select.options].some((option) => Number(option.value) === start)) {
          select.append(h('option', { value: start }, wallTimeText(wall)));
        }
        select.value = String(start);
        this.suggest(form);
      };
      return h('button', { type: 'button', onclick }, wallTimeText(wall));
    });
    this.element.append(
      h('span', {}, gettext('Other times that are free')),
      h('div', { class: 'options times' }, ...buttons),
    );
  }
}
