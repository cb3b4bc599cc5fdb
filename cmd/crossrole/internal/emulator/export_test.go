package emulator

import "slices"

// Operations returns the method and path of each operation, sorted.
func Operations() []string {
	var all []string
	for _, op := range (&Emulator{}).operations() {
		all = append(all, op.method+" "+op.path)
	}
	slices.Sort(all)
	return all
}
