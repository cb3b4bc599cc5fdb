package awstest

import (
	"slices"
	"time"
)

// eventual is a value of IAM that a change reaches later than IAM's own API shows it:
// after the cloud's propagation delay. The cloud's mutex guards it.
type eventual[T any] struct {
	value T           // after all changes
	old   []passed[T] // what was before each change that may not have arrived, the oldest first
}

// passed is a value that is in force until a change of it arrives.
type passed[T any] struct {
	value T
	until time.Time
}

// set changes the value.
func (e *eventual[T]) set(c *Cloud, value T) {
	now := c.iamTime()
	e.old = slices.DeleteFunc(e.old, func(p passed[T]) bool { return !now.Before(p.until) })
	if c.propagation > 0 {
		e.old = append(e.old, passed[T]{e.value, now.Add(c.propagation)})
	} else {
		e.old = nil
	}
	e.value = value
}

// inForce returns the value that services go by now.
func (e *eventual[T]) inForce(c *Cloud) T {
	if len(e.old) > 0 {
		now := c.iamTime()
		for _, p := range e.old {
			if now.Before(p.until) {
				return p.value
			}
		}
	}
	return e.value
}

// eventualMap holds values of IAM by name; a name without a value is the zero value.
type eventualMap[T any] map[string]*eventual[T]

func (m eventualMap[T]) set(c *Cloud, name string, value T) {
	if m[name] == nil {
		m[name] = &eventual[T]{}
	}
	m[name].set(c, value)
}

func (m eventualMap[T]) inForce(c *Cloud, name string) (value T) {
	if m[name] != nil {
		value = m[name].inForce(c)
	}
	return value
}

// trusted is a role's trust policy as it is evaluated.
type trusted struct {
	document *document
	pins     pins
}
