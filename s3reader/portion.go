package s3reader

import "time"

// portion is how many bytes a connection reads before it tells of them: few enough
// that a slow one is seen to be alive, and else as many as the buffer holds.
type portion int64

const (
	portionFast = 25 * time.Millisecond
	portionSlow = 100 * time.Millisecond
)

// adapt is told how long the last portion took.
func (p *portion) adapt(took time.Duration) {
	switch {
	case took < portionFast:
		*p = min(*p*2, maxBufferSize)
	case took > portionSlow:
		*p = max(*p/2, minBufferSize)
	}
}
