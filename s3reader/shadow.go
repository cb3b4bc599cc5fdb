package s3reader

import "strings"

// entry is an object that is to become a file.
type entry struct {
	info *Info
	path string // below the directory, with slashes
}

// shadow finds the objects whose path is a directory's as well. Entries come in
// the order of their paths, so that "a" comes before "a/b"; but other entries
// ("a-b") may stand between them.
type shadow struct {
	held []entry // each is a prefix of the next, and may yet turn out to be a directory
}

// add takes an entry and returns those that are known to be files now, and those
// that share their path with a directory.
func (s *shadow) add(e entry) (files, directories []entry) {
	for len(s.held) > 0 {
		last := s.held[len(s.held)-1]
		below := last.path + "/"
		switch {
		case strings.HasPrefix(e.path, below):
			directories = append(directories, last)
		case e.path > below:
			files = append(files, last)
		default:
			s.held = append(s.held, e)
			return files, directories
		}
		s.held = s.held[:len(s.held)-1]
	}
	s.held = append(s.held, e)
	return files, directories
}

// end returns what is left, all of it files.
func (s *shadow) end() []entry {
	files := s.held
	s.held = nil
	return files
}
