// The drawer: one booking with its acts, a new booking, a walk-in, a table, a block.

import {
  act,
  block,
  book,
  called,
  changed,
  day,
  endOf,
  flag,
  quarterBelow,
  save,
  tableNames,
  tone,
  toneIcon,
  toneWord,
  unblock,
  usable,
  walkIn,
  wrong,
} from './store.js';
import { byId, clock, get, h, icon, newKey, QUARTER, start, t, toast } from './ui.js';

const USUAL = 90;
const FIELD = {
  partySize: 'party',
  durationMinutes: 'minutes',
  start: 'start',
  date: 'date',
  tableIds: 'tables',
  sectorId: 'tables',
  guestName: 'name',
  guestEmail: 'email',
  guestPhone: 'phone',
  notes: 'notes',
  end: 'to',
  tableId: 'tables',
};

export class Panel {
  constructor() {
    this.box = byId('drawer');
    this.box.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        event.stopPropagation();
        this.close();
      }
    });
    this.showing = null;
  }

  show(kind, title, ...content) {
    if (this.box.hidden) this.back = document.activeElement;
    this.showing = kind;
    const heading = h('h2', { id: 'drawerTitle', tabindex: '-1' }, title);
    this.box.setAttribute('aria-labelledby', 'drawerTitle');
    this.box.replaceChildren(
      h(
        'header',
        {},
        heading,
        h(
          'button',
          { type: 'button', class: 'icon', 'aria-label': t('close'), onclick: () => this.close() },
          icon('close'),
        ),
      ),
      ...content.filter(Boolean),
    );
    this.box.hidden = false;
    this.box.parentElement.classList.add('open');
    this.box.scrollTop = 0;
    (this.box.querySelector('[data-first]') ?? heading).focus({ preventScroll: true });
  }

  close() {
    this.showing = null;
    this.box.hidden = true;
    this.box.parentElement.classList.remove('open');
    this.box.replaceChildren();
    day.selected = null;
    changed();
    const again = this.back?.dataset?.id ? document.querySelector(`.bk[data-id="${this.back.dataset.id}"]`) : this.back;
    again?.focus?.({ preventScroll: true });
  }

  /** The booking shown changed, here or elsewhere: its head is drawn again, what is typed below stays. */
  refresh() {
    if (this.showing !== 'booking') return;
    const booking = day.bookings.get(this.id);
    if (!booking || booking.version === this.version) return;
    if (this.box.querySelector('form')?.dataset.touched) {
      this.version = booking.version;
      this.head(booking);
      return;
    }
    this.booking(booking, false);
  }

  // --- a booking -----------------------------------------------------------------------------------------------

  async booking(booking, focus = true) {
    this.id = booking.id;
    this.version = booking.version;
    const holder = document.activeElement;
    this.top = h('div', {});
    const story = h('ol', { class: 'story', 'aria-label': t('story') });
    const open = ['CONFIRMED', 'SEATED'].includes(booking.status) && day.data.may.update;
    this.show('booking', called(booking), this.top, open ? this.form(booking) : this.facts(booking), story);
    this.head(booking);
    if (!focus) holder?.focus?.({ preventScroll: true });
    if (day.selected !== booking.id) {
      day.selected = booking.id;
      changed();
    }
    const full = await get(`bookings/${booking.id}`).catch(() => null);
    for (const each of full?.story ?? [])
      story.append(
        h(
          'li',
          {},
          h('b', {}, t(each.event)),
          each.undone ? ` (${t('undoing')})` : '',
          ` · ${clock.when(each.at)} · ${each.by}`,
        ),
      );
  }

  head(booking) {
    const now = tone(booking);
    const acts = h('div', { class: 'acts' });
    const button = (name, word, kind, allowed = day.data.may.update) => {
      if (allowed)
        acts.append(
          h('button', { type: 'button', class: kind, 'data-act': name, onclick: () => act(booking, name) }, word),
        );
    };
    if (booking.status === 'CONFIRMED' || booking.status === 'NO_SHOW') button('seat', t('seat'), 'solid');
    if (booking.status === 'SEATED') button('complete', t('complete'), 'solid');
    if (booking.status === 'CONFIRMED') {
      button('no-show', t('noShow'), 'soft');
      button('cancel', t('cancel'), 'risky', day.data.may.cancel);
    }
    this.top.replaceChildren(
      h(
        'p',
        { class: 'meta' },
        h('span', { class: `chip ${now}` }, icon(toneIcon(now)), toneWord(now)),
        h('span', {}, `${clock.at(booking.start)}–${clock.at(endOf(booking))}`),
        h('span', {}, `${booking.party} ${t('covers')}`),
        h('span', {}, `${t('table')} ${tableNames(booking)}`),
        h('span', {}, booking.reference),
      ),
      wrong(booking) ? h('p', { class: 'wrong' }, icon('flag', t('attention')), h('span', {}, wrong(booking))) : '',
      acts,
    );
  }

  facts(booking) {
    return h(
      'p',
      { class: 'meta' },
      ...[booking.phone, booking.email, booking.notes].filter(Boolean).map((each) => h('span', {}, each)),
    );
  }

  form(booking) {
    const fields = this.fields(booking);
    const other = h('input', { type: 'date', name: 'date', value: booking.date, min: '2000-01-01', max: '2099-12-31' });
    const tables = this.tablePicker(booking.tables);
    const form = h(
      'form',
      {
        class: 'f',
        novalidate: true,
        oninput: () => {
          form.dataset.touched = '1';
        },
        onsubmit: async (event) => {
          event.preventDefault();
          const body = {};
          const typed = values(form);
          if (Number(typed.party) !== booking.party) body.partySize = whole(typed.party);
          if (Number(typed.minutes) !== booking.minutes) body.durationMinutes = Number(typed.minutes);
          if (typed.date !== booking.date) body.date = typed.date;
          else if (Number(typed.start) !== quarterBelow(booking.start))
            body.start = new Date(Number(typed.start)).toISOString();
          const chosen = tables.chosen();
          if (chosen.length && chosen.slice().sort().join() !== booking.tables.slice().sort().join()) {
            body.tableIds = chosen;
            body.sectorId = day.tables.get(chosen[0])?.sector ?? null;
          }
          for (const [name, key] of [
            ['name', 'guestName'],
            ['phone', 'guestPhone'],
            ['email', 'guestEmail'],
            ['notes', 'notes'],
          ]) {
            if (typed[name] !== booking[name]) body[key] = typed[name];
          }
          if (!Object.keys(body).length) {
            this.close();
            return;
          }
          await submit(form, async () => {
            const after = await save(booking, body);
            delete form.dataset.touched;
            this.booking(after);
          });
        },
      },
      ...fields.main,
      label(t('tables'), tables.element, 'wide'),
      ...fields.person,
      label(t('moveDay'), other, 'wide'),
      h('button', { class: 'solid wide' }, t('save')),
    );
    return form;
  }

  fields(given) {
    // A wall time that the clocks show twice that night is offered once, the first time.
    const times = new Map();
    for (const [opens, closes] of day.data.open)
      for (let at = opens; at < closes; at += QUARTER) if (!times.has(clock.at(at))) times.set(clock.at(at), at);
    const asked = quarterBelow(given.start ?? day.data.from);
    const begin = given.id ? asked : (times.get(clock.at(asked)) ?? asked);
    const offered = [...new Set([...times.values(), begin])].sort((a, b) => a - b);
    const time = h(
      'select',
      { name: 'start' },
      ...offered.map((at) => h('option', { value: at, selected: at === begin }, clock.at(at))),
    );
    const [least, most] = day.data.bounds.minutes;
    const lengths = [];
    for (let minutes = Math.ceil(least / 15) * 15; minutes <= most; minutes += 15) lengths.push(minutes);
    // Where no usual time is set, one must be named.
    const chosen =
      given.minutes ?? (day.data.turns.length ? null : Math.min(Math.max(USUAL, lengths[0]), lengths.at(-1)));
    if (chosen && !lengths.includes(chosen)) lengths.push(chosen);
    const length = h(
      'select',
      { name: 'minutes' },
      chosen ? null : h('option', { value: '' }, this.usual(given.party ?? 2)),
      ...lengths
        .sort((a, b) => a - b)
        .map((minutes) => h('option', { value: minutes, selected: minutes === chosen }, t('minutes', { minutes }))),
    );
    // A finger is not met with the on-screen keyboard before it asked for it.
    const party = stepper(given.party ?? 2, !given.id && matchMedia('(pointer: fine)').matches);
    return {
      main: [label(t('party'), party, 'wide'), label(t('time'), time), label(t('duration'), length)],
      person: [
        label(
          t('name'),
          h('input', { name: 'name', value: given.name ?? '', maxlength: 200, autocomplete: 'off' }),
          'wide',
        ),
        label(
          t('phone'),
          h('input', { name: 'phone', type: 'tel', value: given.phone ?? '', maxlength: 32, autocomplete: 'off' }),
        ),
        label(
          t('email'),
          h('input', { name: 'email', type: 'email', value: given.email ?? '', maxlength: 254, autocomplete: 'off' }),
        ),
        label(t('notes'), h('textarea', { name: 'notes', maxlength: 1000 }, given.notes ?? ''), 'wide'),
      ],
      length,
    };
  }

  usual(party) {
    const turn = day.data.turns.find(([most]) => party <= most) ?? day.data.turns.at(-1);
    return t('usual', { minutes: turn[1] });
  }

  tablePicker(chosen) {
    const select = h('select', { name: 'tables', multiple: true, size: '4' });
    for (const sector of day.data.sectors) {
      select.append(
        h(
          'optgroup',
          { label: sector.name },
          ...sector.tables.map((table) =>
            h(
              'option',
              {
                value: table.id,
                selected: chosen.includes(table.id),
                disabled: table.retired && !chosen.includes(table.id),
              },
              `${table.name} (${table.retired ? t('retired') : t('seats', table)})`,
            ),
          ),
        ),
      );
    }
    return { element: select, chosen: () => [...select.selectedOptions].map((each) => each.value) };
  }

  // --- a new booking -------------------------------------------------------------------------------------------

  create(given = {}) {
    // The board may go on to another day while this is typed.
    const { date } = day;
    const key = newKey();
    const now = clock.now();
    const first = day.data.open.find(([, closes]) => closes > now) ?? day.data.open[0];
    const begin = given.start ?? (first ? Math.max(first[0], quarterBelow(now) + QUARTER) : day.data.from);
    const party = given.party ?? (given.tables?.length === 1 ? Math.min(2, day.tables.get(given.tables[0]).max) : 2);
    const fields = this.fields({ start: begin, party });
    const places = h('div', { class: 'wide options', 'aria-live': 'polite' });
    let chosen = given.tables ?? null;
    let asked = 0;
    const suggest = async () => {
      const typed = values(form);
      const mine = ++asked;
      const size = Number(typed.party);
      const usual = fields.length.querySelector('option[value=""]');
      if (usual && size > 0) usual.textContent = this.usual(size);
      if (!(size > 0)) return;
      const found = await get('suggest', {
        restaurant: start.restaurant,
        date,
        start: new Date(Number(typed.start)).toISOString(),
        party: size,
        minutes: typed.minutes,
        sector: given.tables ? '' : day.sector,
      }).catch((refusal) => ({ candidates: [], nearest: [], why: refusal.message }));
      if (mine !== asked) return;
      draw(found);
    };
    const pick = (tables) => {
      chosen = tables;
      for (const each of places.querySelectorAll('[data-tables]'))
        each.setAttribute('aria-pressed', String(each.dataset.tables === (tables ?? []).join()));
    };
    const draw = (found) => {
      places.replaceChildren();
      const offer = (tables, text, more) =>
        places.append(
          h(
            'button',
            {
              type: 'button',
              'data-tables': tables.join(),
              'aria-pressed': String(tables.join() === (chosen ?? []).join()),
              onclick: () => pick(tables),
            },
            h('span', {}, text),
            h('small', {}, more),
          ),
        );
      if (found.candidates.length || given.tables) places.append(h('span', { class: 'sr' }, t('suggestions')));
      if (given.tables)
        offer(
          given.tables,
          t('chosenTable', { table: given.tables.map((id) => day.tables.get(id).name).join(' + ') }),
          '',
        );
      else if (found.candidates.length)
        offer([], t('best'), found.candidates[0].tables.map((id) => day.tables.get(id)?.name).join(' + '));
      for (const each of found.candidates) {
        const sector = day.data.sectors.find((one) => one.id === each.sector);
        offer(
          each.tables,
          `${sector?.name ?? ''} · ${each.tables.map((id) => day.tables.get(id)?.name ?? id).join(' + ')}`,
          t('fit', { score: Math.round(each.score) }),
        );
      }
      if (found.why) places.prepend(h('p', { class: 'alert' }, found.why));
      if (found.nearest.length) {
        places.append(
          h('span', {}, t('nearest')),
          h(
            'div',
            { class: 'options times' },
            ...found.nearest.map((at) =>
              h(
                'button',
                {
                  type: 'button',
                  onclick: () => {
                    const time = form.elements.start;
                    if (![...time.options].some((each) => Number(each.value) === at))
                      time.append(h('option', { value: at }, clock.at(at)));
                    time.value = String(at);
                    suggest();
                  },
                },
                clock.at(at),
              ),
            ),
          ),
        );
      }
    };
    const form = h(
      'form',
      {
        class: 'f',
        novalidate: true,
        onsubmit: async (event) => {
          event.preventDefault();
          const typed = values(form);
          const body = { partySize: whole(typed.party), date, start: new Date(Number(typed.start)).toISOString() };
          if (typed.minutes) body.durationMinutes = Number(typed.minutes);
          if (chosen?.length) body.tableIds = chosen;
          else if (day.sector) body.sectorId = day.sector;
          for (const [name, key] of [
            ['name', 'guestName'],
            ['phone', 'guestPhone'],
            ['email', 'guestEmail'],
            ['notes', 'notes'],
          ])
            if (typed[name]) body[key] = typed[name];
          await submit(form, async () => {
            const made = await book(body, key);
            this.booking(made);
          });
        },
      },
      ...fields.main,
      h('div', { class: 'wide' }, places),
      ...fields.person,
      h('button', { class: 'solid wide' }, t('book')),
    );
    let timer;
    form.addEventListener('input', (event) => {
      if (!['party', 'start', 'minutes'].includes(event.target.name)) return;
      clearTimeout(timer);
      timer = setTimeout(suggest, 180);
    });
    this.show('create', t('newBooking'), h('p', { class: 'meta' }, h('span', {}, byId('dateText').textContent)), form);
    suggest();
  }

  // --- walk-in, table, block -----------------------------------------------------------------------------------

  parties(tables = null) {
    const most = tables ? Math.max(...tables.map((id) => day.tables.get(id).max)) : 12;
    const least = tables ? Math.min(...tables.map((id) => day.tables.get(id).min)) : 1;
    const box = h('div', { class: 'parties' });
    const key = newKey();
    for (let party = least; party <= Math.min(most, 12); party += 1) {
      box.append(
        h(
          'button',
          {
            type: 'button',
            'data-party': party,
            'data-first': party === least,
            'aria-label': `${party} ${t('covers')}`,
            onclick: async () => {
              for (const each of box.children) each.disabled = true;
              try {
                await walkIn(party, tables, key);
                this.close();
              } catch (refusal) {
                toast(refusal.message, { bad: true });
                for (const each of box.children) each.disabled = false;
              }
            },
          },
          String(party),
        ),
      );
    }
    return box;
  }

  walkIn() {
    this.show('walkin', t('walkIn'), h('p', { class: 'meta' }, t('walkInHint')), this.parties());
  }

  table(table, at = null) {
    const here = at ?? clock.now();
    const mine = [...day.bookings.values()]
      .filter((each) => each.tables.includes(table.id) && ['CONFIRMED', 'SEATED'].includes(each.status))
      .sort((a, b) => a.start - b.start);
    const open = day.data.open.some(([opens, closes]) => opens <= clock.now() && clock.now() < closes);
    const use = usable(table.id);
    const content = [h('p', { class: 'meta' }, use ? t('seats', table) : t('retired'))];
    if (use && day.data.may.create && open && at === null)
      content.push(h('h3', {}, t('walkInHere', { table: table.name })), this.parties([table.id]));
    const acts = h('div', { class: 'acts' });
    if (use && day.data.may.create)
      acts.append(
        h(
          'button',
          {
            type: 'button',
            class: 'soft',
            'data-first': !open,
            onclick: () => this.create({ tables: [table.id], start: at ? quarterBelow(at) : undefined }),
          },
          t('newBooking'),
        ),
      );
    if (use && day.data.may.tables)
      acts.append(
        h(
          'button',
          {
            type: 'button',
            class: 'soft',
            'data-act': 'block',
            onclick: () => this.blocking(table, quarterBelow(here)),
          },
          t('block'),
        ),
      );
    content.push(acts);
    content.push(
      h(
        'div',
        { class: 'options' },
        ...mine.map((each) =>
          h(
            'button',
            { type: 'button', onclick: () => this.booking(each) },
            h('span', {}, flag(each), `${clock.at(each.start)} · ${called(each)}`),
            h('small', {}, `${each.party} · ${toneWord(tone(each))}`),
          ),
        ),
      ),
    );
    this.show('table', `${t('table')} ${table.name}`, ...content);
  }

  blocking(table, from) {
    const times = [];
    for (let at = quarterBelow(day.data.from); at <= day.data.to; at += QUARTER) times.push(at);
    const begin = Math.min(Math.max(from, times[0]), times.at(-2));
    // A day may show a time twice; the second is told from the first by its date.
    const words = times.map((at, index) =>
      times.findIndex((each) => clock.at(each) === clock.at(at)) < index ? clock.when(at) : clock.at(at),
    );
    const pick = (name, chosen) =>
      h(
        'select',
        { name },
        ...times.map((at, index) => h('option', { value: at, selected: at === chosen }, words[index])),
      );
    const form = h(
      'form',
      {
        class: 'f',
        novalidate: true,
        onsubmit: async (event) => {
          event.preventDefault();
          const typed = values(form);
          await submit(form, async () => {
            await block(table.id, Number(typed.from), Number(typed.to), typed.reason);
            this.close();
          });
        },
      },
      label(t('blockFrom'), pick('from', begin)),
      label(t('blockTo'), pick('to', Math.min(begin + 8 * QUARTER, times.at(-1)))),
      label(t('blockReason'), h('input', { name: 'reason', maxlength: 200 }), 'wide'),
      h('button', { class: 'solid wide' }, t('block')),
    );
    this.show('block', `${t('block')}: ${table.name}`, form);
  }

  block(held) {
    const table = day.tables.get(held.table);
    this.show(
      'block',
      `${t('blocked')}: ${table.name}`,
      h(
        'p',
        { class: 'meta' },
        h('span', {}, `${clock.at(held.start)}–${clock.at(held.end)}`),
        h('span', {}, held.reason),
      ),
      day.data.may.tables
        ? h(
            'button',
            {
              type: 'button',
              class: 'solid',
              'data-first': true,
              onclick: () => {
                this.close();
                unblock(held);
              },
            },
            t('unblock'),
          )
        : null,
    );
  }
}

function label(text, control, kind = '') {
  return h(
    'label',
    { class: kind },
    h('span', {}, text),
    control,
    h('span', { class: 'bad', 'data-bad': control.name ?? control.querySelector?.('[name]')?.name ?? '' }),
  );
}

function stepper(value, first) {
  const input = h('input', {
    name: 'party',
    type: 'text',
    inputmode: 'numeric',
    value,
    maxlength: 3,
    'data-first': first,
  });
  const by = (step) => {
    input.value = String(Math.max(1, (Number(input.value) || 0) + step));
    input.dispatchEvent(new Event('input', { bubbles: true }));
  };
  return h(
    'span',
    { class: 'stepper' },
    h('button', { type: 'button', tabindex: '-1', 'aria-label': '−1', onclick: () => by(-1) }, '−'),
    input,
    h('button', { type: 'button', tabindex: '-1', 'aria-label': '+1', onclick: () => by(1) }, '+'),
  );
}

const values = (form) => Object.fromEntries(new FormData(form));
/** A number where it is one; else as it was typed, for the server to say what is wrong with it. */
const whole = (text) => (/^-?\d+$/.test(text.trim()) ? Number(text) : text);

/** Run a form's work; a refusal is shown where it belongs and nothing typed is lost. */
async function submit(form, work) {
  const button = form.querySelector('button.solid');
  button.disabled = true;
  form.querySelector(':scope > .alert')?.remove();
  for (const each of form.querySelectorAll('[aria-invalid]')) each.removeAttribute('aria-invalid');
  for (const each of form.querySelectorAll('.bad')) each.textContent = '';
  try {
    await work();
  } catch (refusal) {
    if (!refusal.issues) throw refusal;
    let unplaced = !refusal.issues.length;
    let first = null;
    for (const issue of refusal.issues) {
      const name = FIELD[issue.path.split('.')[0]];
      const field = name && form.elements[name];
      if (!field) {
        unplaced = true;
        continue;
      }
      field.setAttribute('aria-invalid', 'true');
      const place = form.querySelector(`[data-bad="${name}"]`);
      if (place) place.textContent = issue.message;
      first ??= field;
    }
    const signIn =
      refusal.status === 401
        ? h('a', { href: start.urls.login, target: '_blank', rel: 'noopener' }, t('toSignIn'))
        : null;
    form.prepend(
      h(
        'p',
        { class: 'alert', role: 'alert' },
        ...[unplaced ? refusal.message : t('unsaved'), signIn && ' ', signIn].filter(Boolean),
      ),
    );
    (first ?? form.querySelector('.alert')).scrollIntoView({ block: 'nearest' });
    first?.focus();
  } finally {
    button.disabled = false;
  }
}
