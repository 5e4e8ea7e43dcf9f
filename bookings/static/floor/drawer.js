// The drawer: one booking with its actions, a new booking, a walk-in, a table or a block.

import { blockTable, changeStatus, putBack, seatWalkIn, unblockTable } from './actions.js';
import { changeForm, newBookingForm } from './booking-form.js';
import {
  displayName,
  flagChips,
  flagsOf,
  flagTexts,
  isAllowed,
  isChangeable,
  isInUse,
  isOpen,
  lookOf,
  mayPutBack,
  seatsText,
  startText,
  tableText,
  timesText,
  tone,
  toneIcon,
  toneLabel,
} from './bookings.js';
import { dateText, dateTimeText, floorToQuarter, now, QUARTER, timeText, wallDateTimeText } from './clock.js';
import { labelled, submit, valuesOf } from './forms.js';
import { coversText, fill, gettext } from './i18n.js';
import { page } from './page.js';
import { get, messageOf, newKey } from './server.js';
import { board, boardChanged } from './store.js';
import { askToConfirm, byId, errorToast, focusedElement, h, icon } from './ui.js';

/** @import { Proposal } from './booking-form.js' */
/** @import { Action } from './page.js' */
/** @import { Block, Booking, Table } from './store.js' */
/** @import { Child } from './ui.js' */

/** Larger walk-ins are booked with the form. */
const MAX_WALK_IN = 12;
const DEFAULT_BLOCK = 8 * QUARTER;

/**
 * The buttons' styles, in their order.
 * @type {[Action, string][]}
 */
const ACTION_STYLES = [
  ['seat', 'solid'],
  ['complete', 'solid'],
  ['no-show', 'soft'],
  ['cancel', 'risky'],
];

export class Drawer {
  constructor() {
    this.element = byId('drawer');
    this.isOpen = false;
    /** @type {string | null} The id of the booking shown. */
    this.bookingId = null;
    /** The version of it that is shown. */
    this.version = 0;
    /** How its head looks: that changes by the clock too. */
    this.look = '';
    this.bookingHead = h('div', {});
    /** @type {HTMLElement | null} The element that had the focus before. */
    this.opener = null;
    this.element.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      // The key would close the question at once.
      event.preventDefault();
      this.leave(() => this.close());
    });
    window.addEventListener('beforeunload', (event) => {
      if (this.isTouched) event.preventDefault();
    });
  }

  /** Whether it shows a form in which something was typed that is not saved. */
  get isTouched() {
    return this.element.querySelector('form')?.dataset.touched === 'true';
  }

  /**
   * Do what closes or replaces its content, after a question if something typed would be lost.
   * @param {() => void} action
   */
  async leave(action) {
    if (this.isTouched) {
      const question = gettext('Discard what you typed?');
      if (!(await askToConfirm(question, [], gettext('Discard'), gettext('Keep editing')))) return;
    }
    action();
  }

  /**
   * @param {string} title
   * @param {...Child} content
   */
  show(title, ...content) {
    if (!this.isOpen) this.opener = focusedElement();
    this.isOpen = true;
    this.bookingId = null;
    const heading = h('h2', { id: 'drawerTitle', tabindex: '-1' }, title);
    const close = {
      type: 'button',
      class: 'icon',
      'aria-label': gettext('Close'),
      onclick: () => this.leave(() => this.close()),
    };
    this.element.setAttribute('aria-labelledby', 'drawerTitle');
    const children = content.filter((child) => child !== null && child !== undefined && child !== false);
    this.element.replaceChildren(h('header', {}, heading, h('button', close, icon('close'))), ...children);
    this.element.hidden = false;
    this.element.parentElement?.classList.add('open');
    this.element.scrollTop = 0;
    const first = /** @type {HTMLElement | null} */ (this.element.querySelector('[data-first]'));
    (first ?? heading).focus({ preventScroll: true });
  }

  close() {
    this.isOpen = false;
    this.bookingId = null;
    this.element.hidden = true;
    this.element.parentElement?.classList.remove('open');
    this.element.replaceChildren();
    board.selected = null;
    boardChanged();
    const { opener } = this;
    // The timeline may have been drawn anew since.
    const card = opener?.dataset.id && document.querySelector(`.booking[data-id="${opener.dataset.id}"]`);
    const focused = card instanceof HTMLElement ? card : opener;
    focused?.focus({ preventScroll: true });
  }

  // --- A booking -----------------------------------------------------------------------------------------------

  /** @param {Booking} booking */
  async showBooking(booking) {
    const story = h('ol', { class: 'story', 'aria-label': gettext('History') });
    this.bookingHead = h('div', {});
    const body = isChangeable(booking) ? this.changeForm(booking) : contactDetails(booking);
    this.show(displayName(booking), this.bookingHead, body, story);
    this.bookingId = booking.id;
    this.version = booking.version;
    this.fillBookingHead(booking);
    if (board.selected !== booking.id) {
      board.selected = booking.id;
      boardChanged();
    }
    /** @type {Booking | null} */
    const complete = await get(`bookings/${booking.id}`).catch(() => null);
    for (const { label, undone, wall, by } of complete?.story ?? []) {
      const remark = undone ? ` (${gettext('undone')})` : '';
      story.append(h('li', {}, h('b', {}, label), `${remark} · ${wallDateTimeText(wall)} · ${by}`));
    }
  }

  /** Show the booking as it is now. What is being typed in its form stays. */
  refresh() {
    const booking = board.bookings.get(this.bookingId ?? '');
    if (!booking) return;
    if (booking.version === this.version) {
      if (headLookOf(booking) !== this.look) this.fillBookingHead(booking);
      return;
    }
    if (this.isTouched) {
      this.version = booking.version;
      this.fillBookingHead(booking);
      return;
    }
    const focused = focusedElement();
    this.showBooking(booking);
    focused?.focus({ preventScroll: true });
  }

  /** @param {Booking} booking */
  fillBookingHead(booking) {
    const focused = focusedElement()?.dataset.act;
    this.look = headLookOf(booking);
    const look = tone(booking);
    const actions = actionsOf(booking).map(([action, style]) => {
      const onclick = () => changeStatus(booking, action);
      return h('button', { type: 'button', class: style, 'data-act': action, onclick }, page.actions[action].label);
    });
    if (mayPutBack(booking)) {
      const properties = { type: 'button', class: 'soft', 'data-act': 'reopen', onclick: () => putBack(booking) };
      actions.push(h('button', properties, gettext('Put back')));
    }
    const facts = [timesText(booking), coversText(booking.party), tableText(booking.tables), booking.reference];
    this.bookingHead.replaceChildren(
      details([h('span', { class: `chip ${look}` }, icon(toneIcon(look)), toneLabel(look)), ...facts]),
      ...flagsOf(booking).map((flag) => {
        const { label, meaning } = flagTexts(flag);
        return h(
          'p',
          { class: 'attention', 'data-flag': flag },
          icon('flag'),
          h('b', {}, label),
          h('span', {}, meaning),
        );
      }),
      h('div', { class: 'actions' }, ...actions),
    );
    if (focused) actions.find((button) => button.dataset.act === focused)?.focus({ preventScroll: true });
  }

  /** @param {Booking} booking */
  changeForm(booking) {
    return changeForm(booking, (after) => {
      if (after) this.showBooking(after);
      else this.close();
    });
  }

  /** @param {Proposal} proposal */
  showNewBooking(proposal = {}) {
    const form = newBookingForm(proposal, (booking) => this.showBooking(booking));
    const date = byId('dateText').textContent || dateText(board.day.date);
    this.show(gettext('New booking'), details([date]), form);
  }

  // --- A walk-in -----------------------------------------------------------------------------------------------

  showWalkIn() {
    const advice = gettext('How many guests? Tap the number to seat them at the best free table.');
    this.show(gettext('Walk-in'), h('p', { class: 'meta' }, advice), this.partyButtons(1, MAX_WALK_IN, null));
  }

  /**
   * @param {number} from
   * @param {number} to
   * @param {string[] | null} tables the best free ones if null
   */
  partyButtons(from, to, tables) {
    // One key for all: a second try with another size must not seat a second party.
    const key = newKey();
    /** @type {HTMLButtonElement[]} */
    const buttons = [];
    /** @type {(party: number) => Promise<void>} */
    const seat = async (party) => {
      for (const button of buttons) button.disabled = true;
      try {
        await seatWalkIn(party, tables, key);
        this.close();
      } catch (refusal) {
        errorToast(messageOf(refusal));
        for (const button of buttons) button.disabled = false;
      }
    };
    for (let party = from; party <= Math.min(to, MAX_WALK_IN); party += 1) {
      const properties = {
        type: 'button',
        'data-party': party,
        'data-first': party === from,
        'aria-label': coversText(party),
        onclick: () => seat(party),
      };
      buttons.push(h('button', properties, String(party)));
    }
    return h('div', { class: 'parties' }, ...buttons);
  }

  // --- A table -------------------------------------------------------------------------------------------------

  /**
   * @param {Table} table
   * @param {number | null} at the instant that the room plan shows, null for the present
   */
  showTable(table, at = null) {
    const { may, open } = board.day;
    const present = now();
    const isServed = open.some(([opens, closes]) => opens <= present && present < closes);
    const inUse = isInUse(table.id);
    const seats = fill(gettext('seats %(seats)s'), { seats: seatsText(table) });
    const content = [h('p', { class: 'meta' }, inUse ? seats : gettext('Out of use'))];
    if (inUse && may.create && isServed && at === null) {
      content.push(
        h('h3', {}, fill(gettext('Seat walk-in at %(table)s'), { table: table.name })),
        this.partyButtons(table.min, table.max, [table.id]),
      );
    }
    const actions = h('div', { class: 'actions' });
    if (inUse && may.create) {
      const start = at === null ? undefined : floorToQuarter(at);
      const onclick = () => this.showNewBooking({ tables: [table.id], start });
      const properties = { type: 'button', class: 'soft', 'data-first': !isServed, onclick };
      actions.append(h('button', properties, gettext('New booking')));
    }
    if (inUse && may.tables) {
      const onclick = () => this.showBlocking(table, floorToQuarter(at ?? present));
      const properties = { type: 'button', class: 'soft', 'data-act': 'block', onclick };
      actions.append(h('button', properties, gettext('Block table')));
    }
    content.push(actions, this.bookingsOf(table));
    this.show(tableText([table.id]), ...content);
  }

  /** @param {Table} table */
  bookingsOf(table) {
    const bookings = [...board.bookings.values()]
      .filter((booking) => booking.tables.includes(table.id) && isOpen(booking))
      .sort((a, b) => a.start - b.start);
    const buttons = bookings.map((booking) => {
      const text = `${startText(booking)} · ${displayName(booking)}`;
      const onclick = () => this.showBooking(booking);
      return h(
        'button',
        { type: 'button', onclick },
        h('span', {}, ...flagChips(booking), text),
        h('small', {}, `${booking.party} · ${toneLabel(tone(booking))}`),
      );
    });
    return h('div', { class: 'options' }, ...buttons);
  }

  // --- A block -------------------------------------------------------------------------------------------------

  /**
   * The form that blocks a table.
   * @param {Table} table
   * @param {number} from
   */
  showBlocking(table, from) {
    /** @type {number[]} */
    const times = [];
    for (let at = floorToQuarter(board.day.from); at <= board.day.to; at += QUARTER) times.push(at);
    const texts = times.map(timeText);
    const last = times[times.length - 1];
    const start = Math.min(Math.max(from, times[0]), last - QUARTER);
    /** @type {(name: string, chosen: number) => HTMLElement} */
    const select = (name, chosen) => {
      const options = times.map((at, index) => {
        // Where a night shows a time twice, the second has its date too.
        const isSecond = texts.indexOf(texts[index]) < index;
        return h('option', { value: at, selected: at === chosen }, isSecond ? dateTimeText(at) : texts[index]);
      });
      return h('select', { name }, ...options);
    };
    const onsubmit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const values = valuesOf(form);
      await submit(form, async () => {
        const { reason } = values;
        await blockTable({ table: table.id, start: Number(values.from), end: Number(values.to), reason });
        this.close();
      });
    };
    const form = h(
      'form',
      { class: 'fields', novalidate: true, onsubmit },
      labelled(gettext('From'), 'from', select('from', start)),
      labelled(gettext('To'), 'to', select('to', Math.min(start + DEFAULT_BLOCK, last))),
      labelled(gettext('Reason'), 'reason', h('input', { name: 'reason', maxlength: 200 }), 'wide'),
      h('button', { class: 'solid wide' }, gettext('Block table')),
    );
    this.show(fill(gettext('Block table %(table)s'), { table: table.name }), form);
  }

  /** @param {Block} block */
  showBlock(block) {
    const table = board.tables.get(block.table);
    const unblock = () => {
      this.close();
      unblockTable(block);
    };
    this.show(
      fill(gettext('Table %(table)s is blocked'), { table: table?.name }),
      details([`${timeText(block.start)}–${timeText(block.end)}`, block.reason]),
      board.day.may.tables &&
        h('button', { type: 'button', class: 'solid', 'data-first': true, onclick: unblock }, gettext('Unblock table')),
    );
  }
}

/** @param {Booking} booking */
const headLookOf = (booking) => [lookOf(booking), ...actionsOf(booking).map(([action]) => action)].join();

/** @param {Booking} booking */
const actionsOf = (booking) => ACTION_STYLES.filter(([action]) => isAllowed(booking, action));

/** @param {Booking} booking */
const contactDetails = ({ phone, email, notes }) => details([phone, email, notes]);

/** @param {(string | HTMLElement)[]} facts */
const details = (facts) =>
  h(
    'p',
    { class: 'meta' },
    ...facts.filter(Boolean).map((fact) => (typeof fact === 'string' ? h('span', {}, fact) : fact)),
  );
