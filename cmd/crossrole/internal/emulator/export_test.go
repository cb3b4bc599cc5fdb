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
func FaultFields() []string { return fields(reflect.TypeFor[fault]()) }

// CallFields returns the JSON names of a call's fields, sorted.
func CallFields() []string { return fields(reflect.TypeFor[call]()) }

func fields(of reflect.Type) []string {
	var names []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
