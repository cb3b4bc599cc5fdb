// Package eventowner lets package metrics find out whether the chain of an event still
// exists, without a place for it in the public API.
package eventowner

// Owner is a chain that is held weakly. Owners of the same chain are equal.
type Owner interface {
	Alive() bool
}

// Of returns the chain that an event is about; nil if a chain did not send it. Package
// credentials sets it.
var Of func(event any) Owner
