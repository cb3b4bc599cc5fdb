package emulator

import (
	"reflect"
	"slices"
	"strings"
)

// Operations returns the method and path of each operation, sorted.
func Operations() []string {
	var all []string
	for _, op := range (&Emulator{}).operations() {
		all = append(all, op.method+" "+op.path)
	}
	slices.Sort(all)
	return all
}

// FaultFields returns the JSON names of a fault's fields, sorted.
func FaultFields() []string {
	var names []string
	for field := range reflect.TypeFor[fault]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
