package frames

// progress is how far the current frame has been understood. All numbers are
// offsets from the first byte of the frame.
type progress struct {
	command string
	line    int    // start of the line that is being read
	scanned int    // no end of line, and later no NUL, before this
	spans   []span // the headers so far
	body    int    // start of the body; 0 while the headers are read
	length  int    // the content-length, or -1
	crlf    bool   // a line ended in CR LF
}

// span is where a header stands in the frame's bytes.
type span struct {
	name, nameEnd, value, valueEnd int32
}

func (s span) nameIn(data []byte) []byte  { return data[s.name:s.nameEnd] }
func (s span) valueIn(data []byte) []byte { return data[s.value:s.valueEnd] }

// trim leaves out the padding that 1.0 clients put around names and values.
func (s *span) trim(data []byte) {
	isPad := func(i int32) bool { return data[i] == ' ' || data[i] == '\t' }
	for s.name < s.nameEnd && isPad(s.name) {
		s.name++
	}
	for s.name < s.nameEnd && isPad(s.nameEnd-1) {
		s.nameEnd--
	}
	for s.value < s.valueEnd && isPad(s.value) {
		s.value++
	}
	for s.value < s.valueEnd && isPad(s.valueEnd-1) {
		s.valueEnd--
	}
}
