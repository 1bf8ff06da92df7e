package capture

import "slices"

// add takes a period that ends on day or later.
func (p *people) add(key personKey, r period, day Day) {
	if _, ok := p.first[key]; ok {
		p.more[key] = append(p.more[key], r)
	} else {
		p.first[key] = r
	}
	if r.from > day {
		p.wait(key, r.from)
	}
	if r.to < eternity-1 {
		p.wait(key, r.to+1)
	}
}

// wait makes Advance look at a person on a day.
func (p *people) wait(key personKey, day Day) {
	p.due[day] = append(p.due[day], key)
	p.waiting++
}

// remove takes one such period away; false if there is none. What the days had
// to do with it stays in due and does no harm.
func (p *people) remove(key personKey, r period) bool {
	first, ok := p.first[key]
	if !ok {
		return false
	}
	more := p.more[key]
	if first == r {
		if len(more) == 0 {
			delete(p.first, key)
			return true
		}
		p.first[key] = more[len(more)-1]
		p.keep(key, more[:len(more)-1])
		return true
	}
	i := slices.Index(more, r)
	if i < 0 {
		return false
	}
	p.keep(key, slices.Delete(more, i, i+1))
	return true
}

func (p *people) keep(key personKey, more []period) {
	if len(more) == 0 {
		delete(p.more, key)
	} else {
		p.more[key] = more
	}
}

// forget drops the periods of a person that ended before a day.
func (p *people) forget(key personKey, day Day) {
	for _, r := range slices.Clone(p.more[key]) {
		if r.to < day {
			p.remove(key, r)
		}
	}
	if first, ok := p.first[key]; ok && first.to < day {
		p.remove(key, first)
	}
}

func (p *people) holder(key personKey, d Day) holder {
	first, ok := p.first[key]
	if !ok {
		return holder{}
	}
	var few [4]period
	return inForce(append(append(few[:0], first), p.more[key]...), d)
}
