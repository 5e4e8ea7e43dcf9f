// The timeline: tables as rows, quarter hours across, bookings over their tables.

import {
  attentionText,
  beginsAt,
  bookingAt,
  coversByQuarter,
  displayName,
  endsAt,
  flagChips,
  flagsOf,
  isChangeable,
  isInShownSector,
  isInUse,
  occupiesTables,
  seatsText,
  tableNames,
  tableText,
  timesText,
  tone,
  toneIcon,
  toneLabel,
} from './bookings.js';
import { HOUR, MINUTE, now, QUARTER, timeText } from './clock.js';
import { coversText, fill, gettext } from './i18n.js';
import { board } from './store.js';
import { swapPartner } from './table-sets.js';
import { TimelineDrag } from './timeline-drag.js';
import { TimelineKeyboard } from './timeline-keyboard.js';
import { focusedElement, h, icon, setStyle } from './ui.js';

/** @import { Navigation } from './main.js' */
/** @import { Block, Booking, Table } from './store.js' */

/**
 * @typedef {{ start: number, tables: string[] }} Spot where a booking is, or would be
 * @typedef {{ top: number, height: number }} Run neighbouring rows as one
 */

/** The height of a sector's heading, as .timeline-sector has it. */
const SECTOR_PX = 28;
const MIN_CARD_PX = 14;
const OCCUPIED_INSET_PX = 9;
const CHART_PX = 22;
/** A quarter hour with more of its seats taken is marked. */
const NEARLY_FULL = 0.85;

export class Timeline {
  /** @param {Navigation} navigation */
  constructor(navigation) {
    this.navigation = navigation;
    this.drag = new TimelineDrag(this);
    this.keyboard = new TimelineKeyboard(this);
    this.element = h('div', { class: 'timeline' });
    this.canvas = h('div', {});
    this.nowLine = h('div', {});
    /** Pixels of a quarter hour and of a table, from the style sheet. */
    this.slotWidth = 0;
    this.rowHeight = 0;
    this.shownDate = '';
    /** @type {string[]} The tables in the order of their rows. */
    this.rows = [];
    /** @type {Map<string, number>} */
    this.tops = new Map();
    /** @type {Booking[]} The bookings drawn, by their start. */
    this.drawn = [];
  }

  /** @param {HTMLElement} container */
  render(container) {
    // The booking being dragged stays under the finger; the timeline is drawn when it is dropped.
    if (this.drag.isLifted) {
      this.drag.isStale = true;
      return;
    }
    const isShown = container.contains(this.element) && this.shownDate === board.day.date;
    const focused = focusedElement()?.dataset.id;
    const { scrollLeft, scrollTop } = this.element;
    this.slotWidth = pixels('--slot');
    this.rowHeight = pixels('--row');
    this.build();
    container.replaceChildren(this.element);
    if (isShown) Object.assign(this.element, { scrollLeft, scrollTop });
    else this.scrollToNow();
    this.shownDate = board.day.date;
    if (focused) this.cardsOf(focused)[0]?.focus({ preventScroll: true });
  }

  /** Move the line of the present, and with it the end of the parties that stay over their time. */
  tick() {
    const { from, to } = board.day;
    const at = now();
    for (const booking of this.drawn) {
      if (tone(booking) !== 'over' || this.drag.isLifted) continue;
      for (const card of this.cardsOf(booking.id)) setStyle(card, { width: `${this.widthOf(booking)}px` });
    }
    this.nowLine.hidden = at < from || at > to;
    setStyle(this.nowLine, { left: `${this.x(at)}px` });
    this.nowLine.replaceChildren(h('span', {}, timeText(at)));
  }

  // --- Drawing -------------------------------------------------------------------------------------------------

  /** @param {number} instant */
  x(instant) {
    return ((instant - board.day.from) / QUARTER) * this.slotWidth;
  }

  build() {
    this.tops = new Map();
    this.rows = [];
    const width = Math.ceil((board.day.to - board.day.from) / QUARTER) * this.slotWidth;
    const labels = h('div', { class: 'timeline-labels' });
    this.canvas = h('div', {
      class: 'timeline-canvas',
      role: 'group',
      'aria-label': gettext('Bookings'),
      onpointerdown: (event) => this.drag.press(event),
      onclick: (event) => this.click(event),
      onkeydown: (event) => this.keyboard.press(event),
    });
    const height = this.buildRows(labels);
    setStyle(this.canvas, { width: `${width}px`, height: `${height}px` });
    this.shadeClosedHours(width);
    for (const block of board.day.blocks) this.drawBlock(block);
    this.drawBookings();
    this.keyboard.redraw();
    this.nowLine = h('div', { class: 'timeline-now' });
    this.canvas.append(this.nowLine);
    const corner = h('div', { class: 'timeline-corner' }, gettext('covers'));
    const grid = h('div', { class: 'timeline-grid' }, corner, this.head(width), labels, this.canvas);
    this.element = h('div', { class: 'timeline' }, grid);
    this.tick();
  }

  /**
   * The labels at the left and the lines between the rows. Returns the height of all rows.
   * @param {HTMLElement} labels
   */
  buildRows(labels) {
    let top = 0;
    for (const sector of board.day.sectors) {
      if (board.sector && board.sector !== sector.id) continue;
      labels.append(h('div', { class: 'timeline-sector' }, sector.name));
      this.canvas.append(h('div', { class: 'timeline-gap', style: { top: `${top}px` } }));
      top += SECTOR_PX;
      for (const table of sector.tables) {
        this.tops.set(table.id, top);
        this.rows.push(table.id);
        labels.append(this.tableLabel(table));
        if (table.retired) {
          const style = { top: `${top}px`, height: `${this.rowHeight}px` };
          this.canvas.append(h('div', { class: 'timeline-retired', style }));
        }
        top += this.rowHeight;
        this.canvas.append(h('div', { class: 'timeline-line', style: { top: `${top - 1}px` } }));
      }
    }
    return top;
  }

  /** @param {Table} table */
  tableLabel(table) {
    const outOfUse = gettext('Out of use');
    const properties = {
      type: 'button',
      class: table.retired ? 'timeline-label retired' : 'timeline-label',
      'data-table': table.id,
      onclick: () => this.navigation.openTable(table),
    };
    return h(
      'button',
      properties,
      h('span', { class: 'sr-only' }, gettext('Table')),
      h('b', {}, table.name),
      table.retired
        ? h('span', { title: outOfUse }, icon('CANCELLED', outOfUse))
        : h('span', {}, seatsText(table), icon('people'), h('span', { class: 'sr-only' }, gettext('covers'))),
    );
  }

  /**
   * The hours, and below them a chart of the covers in each quarter hour.
   * @param {number} width
   */
  head(width) {
    const head = h('div', { class: 'timeline-head', style: { width: `${width}px` } });
    const { from, to } = board.day;
    for (let hour = from; hour < to; hour += HOUR) {
      head.append(h('div', { class: 'timeline-hour', style: { left: `${this.x(hour)}px` } }, timeText(hour)));
    }
    const covers = coversByQuarter(from, to);
    const most = Math.max(...covers, 1);
    let seats = 0;
    for (const id of this.rows.filter(isInUse)) seats += board.tables.get(id)?.max ?? 0;
    covers.forEach((count, index) => {
      if (!count) return;
      const height = (CHART_PX * count) / most;
      const place = { left: `${index * this.slotWidth}px`, width: `${this.slotWidth - 2}px` };
      const full = count > seats * NEARLY_FULL ? ' full' : '';
      const time = timeText(from + index * QUARTER);
      const title = fill(gettext('%(covers)s at %(time)s'), { covers: coversText(count), time });
      head.append(
        h('div', { class: `timeline-bar${full}`, style: { ...place, height: `${3 + height}px` } }),
        h('div', { class: 'timeline-count', style: { ...place, bottom: `${4 + height}px` }, title }, String(count)),
      );
    });
    return head;
  }

  /** @param {number} width */
  shadeClosedHours(width) {
    const { from, to, open } = board.day;
    let closedSince = from;
    for (const [opens, closes] of [...open, [to, to]]) {
      if (opens > closedSince) {
        const left = this.x(closedSince);
        const style = { left: `${left}px`, width: `${Math.min(this.x(opens), width) - left}px` };
        this.canvas.append(h('div', { class: 'timeline-closed', style }));
      }
      closedSince = Math.max(closedSince, closes);
    }
  }

  /** @param {Block} block */
  drawBlock(block) {
    const top = this.tops.get(block.table);
    if (top === undefined) return;
    const left = this.x(Math.max(block.start, board.day.from));
    const right = this.x(Math.min(block.end, board.day.to));
    const times = `${timeText(block.start)}-${timeText(block.end)}`;
    const properties = {
      type: 'button',
      class: 'table-block',
      'data-block': block.id,
      title: block.reason,
      'aria-label': `${gettext('Blocked')}, ${tableNames([block.table])}, ${times} ${block.reason}`,
      style: {
        left: `${left + 1}px`,
        width: `${right - left - 2}px`,
        top: `${top + 3}px`,
        height: `${this.rowHeight - 7}px`,
      },
      onclick: (/** @type {Event} */ event) => {
        event.stopPropagation();
        this.navigation.openBlock(block);
      },
    };
    this.canvas.append(h('button', properties, icon('block'), h('span', {}, block.reason || gettext('Blocked'))));
  }

  drawBookings() {
    /** @type {(booking: Booking) => number} */
    const top = (booking) => this.tops.get(booking.tables[0]) ?? 0;
    this.drawn = [...board.bookings.values()]
      .filter((booking) => occupiesTables(booking) && isInShownSector(booking))
      .sort((a, b) => a.start - b.start || top(a) - top(b));
    // The Tab key stops at one booking only: the arrow keys go to the others.
    const stop = this.drawn.find(({ id, tables }) =>
      board.selected ? id === board.selected : this.runsOf(tables).length,
    );
    for (const booking of this.drawn) this.drawBooking(booking, booking === stop);
  }

  /**
   * One card for each run of neighbouring tables, so that joined tables look joined.
   * @param {Booking} booking
   * @param {boolean} isTabStop
   */
  drawBooking(booking, isTabStop) {
    const look = tone(booking);
    const description = this.describe(booking);
    const classes = [
      'booking',
      booking.status,
      look !== booking.status && look,
      attentionText(booking) && 'needs-attention',
      booking.pending && 'pending',
      booking.bounced && 'bounced',
      booking.flash && 'flash',
      board.selected === booking.id && 'selected',
    ];
    const left = this.leftOf(booking);
    const width = this.widthOf(booking);
    // Above it, the bar of the party that still sits there is seen.
    const inset = flagsOf(booking).includes('occupied') ? OCCUPIED_INSET_PX : 0;
    this.runsOf(booking.tables).forEach((run, index) => {
      const properties = {
        type: 'button',
        class: classes.filter(Boolean).join(' '),
        'data-id': booking.id,
        tabindex: isTabStop && !index ? '0' : '-1',
        'aria-label': description,
        title: description,
        'aria-hidden': index ? 'true' : null,
        style: {
          left: `${left + 1}px`,
          width: `${width}px`,
          top: `${run.top + 3 + inset}px`,
          height: `${run.height - 7 - inset}px`,
        },
      };
      const card = h(
        'button',
        properties,
        ...flagChips(booking),
        icon(toneIcon(look)),
        h('b', {}, String(booking.party)),
        ' ',
        h('span', { class: 'name' }, displayName(booking)),
        booking.notes ? icon('note') : null,
        isChangeable(booking) && h('span', { class: 'grip' }),
      );
      this.canvas.append(card);
    });
  }

  /**
   * The width of a booking's cards: to its end, or for a party that stays over its time, to the present.
   * @param {Booking} booking
   */
  widthOf(booking) {
    const end = Math.min(endsAt(booking), Math.max(booking.end, board.day.to));
    return Math.max(this.x(end) - this.leftOf(booking) - 2, MIN_CARD_PX);
  }

  /** @param {Booking} booking */
  leftOf(booking) {
    return this.x(Math.max(beginsAt(booking), board.day.from));
  }

  /**
   * A booking in words. It begins with the text on the card, for those who control the page by voice.
   * @param {Booking} booking
   */
  describe(booking) {
    const attention = attentionText(booking);
    const parts = [
      `${booking.party} ${displayName(booking)}`,
      timesText(booking),
      tableText(booking.tables),
      toneLabel(tone(booking)),
      attention && `${gettext('Needs attention')}: ${attention}`,
      booking.notes,
    ];
    return parts.filter(Boolean).join(', ');
  }

  /**
   * The rows of tables, neighbouring ones as one.
   * @param {string[]} tables
   */
  runsOf(tables) {
    const tops = tables.flatMap((id) => this.tops.get(id) ?? []).sort((a, b) => a - b);
    /** @type {Run[]} */
    const runs = [];
    for (const top of tops) {
      const last = runs.at(-1);
      if (last && last.top + last.height === top) last.height += this.rowHeight;
      else runs.push({ top, height: this.rowHeight });
    }
    return runs;
  }

  /**
   * @param {string} id a booking's
   * @returns {HTMLElement[]}
   */
  cardsOf(id) {
    return [...this.canvas.querySelectorAll('.booking')].filter(
      /** @type {(card: Element) => card is HTMLElement} */
      (card) => card instanceof HTMLElement && card.dataset.id === id,
    );
  }

  // --- Scrolling -----------------------------------------------------------------------------------------------

  scrollToNow() {
    const { from, to, open } = board.day;
    const at = now();
    const opens = open.find(([, closes]) => closes > at)?.[0] ?? from;
    const left = at >= from && at <= to ? at - 6 * QUARTER : opens - 2 * QUARTER;
    this.element.scrollLeft = this.x(Math.max(left, from));
  }

  /**
   * Scroll to a booking. Returns its card.
   * @param {string} id
   */
  reveal(id) {
    const [card] = this.cardsOf(id);
    if (!card) return null;
    const view = this.element.getBoundingClientRect();
    const box = card.getBoundingClientRect();
    const corner = /** @type {HTMLElement} */ (this.element.querySelector('.timeline-corner'));
    const left = view.left + corner.offsetWidth;
    const top = view.top + corner.offsetHeight;
    if (box.left < left || box.right > view.right) this.element.scrollLeft += box.left - left - 2 * this.slotWidth;
    if (box.top < top) this.element.scrollTop -= top - box.top + this.rowHeight;
    else if (box.bottom > view.bottom) this.element.scrollTop += box.bottom - view.bottom + this.rowHeight;
    return card;
  }

  // --- Pointing ------------------------------------------------------------------------------------------------

  /**
   * The table and the instant under the pointer.
   * @param {MouseEvent} event
   */
  spotAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const y = event.clientY - box.top;
    const table = this.rows.find((id) => {
      const top = this.tops.get(id) ?? 0;
      return y >= top && y < top + this.rowHeight;
    });
    return { table, instant: board.day.from + ((event.clientX - box.left) / this.slotWidth) * QUARTER };
  }

  /** @param {MouseEvent} event */
  click(event) {
    const booking = bookingAt(event);
    if (booking) {
      if (!this.drag.hasMoved) this.navigation.openBooking(booking);
      return;
    }
    if (event.target !== this.canvas || !board.day.may.create) return;
    const { table, instant } = this.spotAt(event);
    if (table && isInUse(table)) this.navigation.openNewBooking({ tables: [table], start: instant });
  }

  /**
   * Show where a booking would go. Returns that in words: a move, or a swap with the booking there.
   * @param {HTMLElement} outline
   * @param {Booking} booking
   * @param {Spot} spot
   */
  showTarget(outline, booking, spot) {
    const left = `${this.x(spot.start)}px`;
    const width = `${((booking.minutes * MINUTE) / QUARTER) * this.slotWidth}px`;
    const pieces = this.runsOf(spot.tables).map(({ top, height }) =>
      h('div', { class: 'outline', style: { left, width, top: `${top + 2}px`, height: `${height - 5}px` } }),
    );
    outline.replaceChildren(...pieces);
    const other = swapPartner(booking, spot);
    this.markSwap(other);
    if (other) {
      const table = tableNames(other.tables);
      return fill(gettext('Swap with %(name)s, table %(table)s?'), { name: displayName(other), table });
    }
    const table = tableNames(spot.tables);
    return fill(gettext('%(time)s, table %(table)s'), { time: timeText(spot.start), table });
  }

  /** @param {Booking | null} other the booking to mark as the one to swap with */
  markSwap(other) {
    for (const card of this.canvas.querySelectorAll('.booking.swap')) card.classList.remove('swap');
    if (other) for (const card of this.cardsOf(other.id)) card.classList.add('swap');
  }
}

/** @param {string} property a length of the style sheet */
const pixels = (property) => parseFloat(getComputedStyle(document.documentElement).getPropertyValue(property));
