// The plan: tables where they stand, coloured by what they are now (or at another time of the day).

import { called, changed, day, endOf, flag, holds, tone, toneIcon, toneWord, wrong } from './store.js';
import { clock, h, icon, post, QUARTER, start, t, toast } from './ui.js';

const GRID = 10;

export class Plan {
  constructor(open) {
    this.open = open;
    this.at = null;
    this.editing = false;
  }

  render(room) {
    if (this.dragging) {
      this.stale = true;
      return;
    }
    this.room = room;
    const focused = document.activeElement?.dataset?.table;
    const scroll = this.element?.scrollTop ?? 0;
    const at = this.at ?? clock.now();
    const element = h('div', { class: this.editing ? 'plan edit' : 'plan' });
    const width = room.clientWidth - 38;
    for (const sector of day.data.sectors) {
      if ((day.sector && day.sector !== sector.id) || !sector.tables.length) continue;
      element.append(h('h2', {}, sector.name), this.sector(sector, at, width));
    }
    room.replaceChildren(element, this.bar(at));
    element.scrollTop = scroll;
    this.element = element;
    if (focused) element.querySelector(`[data-table="${focused}"]`)?.focus();
  }

  sector(sector, at, width) {
    const right = Math.max(...sector.tables.map((table) => table.x + table.w)) + 60;
    const bottom = Math.max(...sector.tables.map((table) => table.y + table.h)) + 60;
    // A room is seen whole, as long as its tables stay big enough to touch.
    const scale = Math.min(width / right, Math.max((this.room.clientHeight - 130) / bottom, 0.62), 1.35);
    const box = h('div', {
      class: 'room',
      style: { height: `${bottom * scale}px`, width: `${Math.min(width, right * scale)}px` },
    });
    for (const table of sector.tables) box.append(this.table(table, at, scale, sector));
    return box;
  }

  state(table, at) {
    const held = day.data.blocks.find((each) => each.table === table.id && each.start <= at && at < each.end);
    if (held)
      return {
        kind: 'block',
        word: t('blocked'),
        line: held.reason,
        until: t('until', { time: clock.at(held.end) }),
        short: clock.at(held.end),
      };
    const here_ = [...day.bookings.values()]
      .filter((each) => holds(each) && each.tables.includes(table.id))
      .sort((a, b) => a.start - b.start);
    const now =
      here_.find((each) => each.status === 'SEATED' && this.at === null) ??
      here_.find((each) => each.start <= at && at < endOf(each) && each.status !== 'COMPLETED');
    const next = here_.find((each) => each.start > at && each.status === 'CONFIRMED');
    if (now) {
      const kind = this.at === null ? tone(now) : now.status;
      return {
        kind,
        booking: now,
        word: toneWord(kind),
        line: `${now.party} · ${table.w < 150 ? called(now).split(' ')[0] : called(now)}`,
        until: t('until', { time: clock.at(now.end) }),
        short: clock.at(now.end),
      };
    }
    if (next)
      return {
        kind: table.retired ? 'retired' : next.start - at < 2 * 3600000 ? 'soon' : '',
        booking: null,
        next,
        word: t('freeUntil', { time: clock.at(next.start) }),
        line: '',
        until: t('next', { time: clock.at(next.start) }),
        short: `→ ${clock.at(next.start)}`,
      };
    return {
      kind: '',
      booking: null,
      word: table.retired ? t('retired') : t('free'),
      line: table.retired ? t('retired') : '',
      until: '',
    };
  }

  table(table, at, scale, sector) {
    const state = this.state(table, at);
    const classes = ['tb', table.shape, state.kind, state.booking && day.selected === state.booking.id && 'on'];
    const flagged = [...day.bookings.values()].find((each) => wrong(each) && each.tables.includes(table.id));
    const sign = state.kind && !['soon', 'retired'].includes(state.kind) ? icon(toneIcon(state.kind)) : null;
    const element = h(
      'button',
      {
        type: 'button',
        class: classes.filter(Boolean).join(' '),
        'data-table': table.id,
        style: {
          left: `${table.x * scale}px`,
          top: `${table.y * scale}px`,
          width: `${table.w * scale}px`,
          height: `${table.h * scale}px`,
        },
        onclick: () => {
          if (!this.editing) this.choose(table, state);
        },
      },
      h('span', { class: 'sr' }, t('table')),
      h('span', { class: 't' }, flagged ? flag(flagged) : null, sign, table.name),
      h('span', { class: 'sr' }, `${t('seats', table)}, ${state.word}`),
      h('span', { class: 'c' }, state.line || `${table.min === table.max ? table.max : `${table.min}-${table.max}`}`),
      state.until
        ? h('span', { class: 'u', title: state.until }, table.w * scale < 86 ? state.short : state.until)
        : null,
    );
    if (this.editing) this.movable(element, table, scale, sector);
    return element;
  }

  choose(table, state) {
    if (state.booking) this.open.booking(state.booking);
    else this.open.table(table, this.at);
  }

  bar(at) {
    const label = h(
      'output',
      {},
      this.at === null ? `${t('planNow')} · ${clock.at(at)}` : t('planAt', { time: clock.at(at) }),
    );
    const slider = h('input', {
      type: 'range',
      min: day.data.from,
      max: day.data.to,
      step: QUARTER,
      value: String(at),
      'aria-label': t('time'),
      oninput: () => {
        this.at = Number(slider.value);
        label.textContent = t('planAt', { time: clock.at(this.at) });
        slider.setAttribute('aria-valuetext', clock.at(this.at));
      },
      onchange: () => changed(),
    });
    slider.setAttribute('aria-valuetext', clock.at(at));
    const bar = h(
      'div',
      { class: 'planbar' },
      label,
      slider,
      h(
        'button',
        {
          type: 'button',
          class: 'soft',
          onclick: () => {
            this.at = null;
            changed();
          },
        },
        t('planNow'),
      ),
    );
    if (day.data.may.tables) {
      bar.append(
        h(
          'button',
          {
            type: 'button',
            class: this.editing ? 'solid' : 'soft',
            'aria-pressed': String(this.editing),
            onclick: () => {
              this.editing = !this.editing;
              if (this.editing) toast(t('editHint'));
              changed();
            },
          },
          this.editing ? t('donePlan') : t('editPlan'),
        ),
      );
    }
    return bar;
  }

  movable(element, table, scale, sector) {
    const put = (x, y) => {
      table.x = Math.max(0, Math.round(x / GRID) * GRID);
      table.y = Math.max(0, Math.round(y / GRID) * GRID);
      element.style.left = `${table.x * scale}px`;
      element.style.top = `${table.y * scale}px`;
    };
    const store = async (before) => {
      try {
        await post('tables', { restaurantId: start.restaurant, tables: [{ id: table.id, x: table.x, y: table.y }] });
      } catch (refusal) {
        put(...before);
        toast(refusal.message, { bad: true });
      }
    };
    element.addEventListener('pointerdown', (event) => {
      const before = [table.x, table.y];
      this.dragging = true;
      element.setPointerCapture(event.pointerId);
      const onMove = (moved) =>
        put(before[0] + (moved.clientX - event.clientX) / scale, before[1] + (moved.clientY - event.clientY) / scale);
      element.addEventListener('pointermove', onMove);
      element.addEventListener(
        'lostpointercapture',
        () => {
          element.removeEventListener('pointermove', onMove);
          this.dragging = false;
          if (table.x !== before[0] || table.y !== before[1]) store(before).then(changed);
          else if (this.stale) changed();
          this.stale = false;
        },
        { once: true },
      );
    });
    element.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: [-GRID, 0], ArrowRight: [GRID, 0], ArrowUp: [0, -GRID], ArrowDown: [0, GRID] }[
        event.key
      ];
      if (!step) return;
      event.preventDefault();
      const before = [table.x, table.y];
      put(table.x + step[0], table.y + step[1]);
      clearTimeout(this.storing);
      this.storing = setTimeout(() => store(before), 400);
    });
  }

  tick() {
    if (this.at === null && !this.editing) changed();
  }
}
