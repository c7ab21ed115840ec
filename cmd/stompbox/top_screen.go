package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/stompbox/stompbox/internal/top"
)

// Sequences of terminals: another screen without a cursor, and back; to its beginning; what is
// left of a line, and of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toBegin     = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// lateAnswer is how late an answer may be before the screen says so.
const lateAnswer = 3 * time.Second

const topHelp = "s slowest  i in  o out  u user  space pause  q quit"

// interactive draws on a terminal until q is pressed. It ends with an error only where the
// first answer is one: a broker that starts again is waited for.
func (t *topCommand) interactive(ctx context.Context, out *os.File) error {
	before, err := t.sample(ctx, t.order)
	if err != nil {
		return err
	}
	keys := make(chan byte)
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		state, err := term.MakeRaw(in)
		if err != nil {
			return err
		}
		defer func() { _ = term.Restore(in, state) }()
		go readKeys(ctx, os.Stdin, keys)
	}
	fmt.Fprint(out, enterScreen)
	defer fmt.Fprint(out, leaveScreen)
	s := &topScreen{topCommand: t, out: out, before: before, now: before}
	return s.run(ctx, keys)
}

// readKeys reads until the process ends: no read of a terminal can be broken off.
func readKeys(ctx context.Context, in io.Reader, keys chan<- byte) {
	buffer := make([]byte, 16)
	for {
		n, err := in.Read(buffer)
		for _, key := range buffer[:n] {
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// topScreen is what the terminal shows.
type topScreen struct {
	*topCommand
	out         *os.File
	before, now *top.Sample
	failure     error // of the last request
	paused      bool
}

func (s *topScreen) run(ctx context.Context, keys <-chan byte) error {
	type answer struct {
		sample *top.Sample
		err    error
	}
	answers := make(chan answer, 1)
	asking := false
	ask := func() {
		if asking || s.paused {
			return
		}
		asking = true
		order := s.order
		go func() {
			sample, err := s.sample(ctx, order)
			answers <- answer{sample, err}
		}()
	}
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		if err := s.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			ask()
		case a := <-answers:
			asking = false
			if s.failure = a.err; a.err == nil {
				s.before, s.now = s.now, a.sample
			}
		case key := <-keys:
			if !s.press(key) {
				return nil
			}
		}
	}
}

// press does what a key is for, and reports whether to go on.
func (s *topScreen) press(key byte) bool {
	const ctrlC = 3
	switch key {
	case 'q', ctrlC:
		return false
	case ' ':
		s.paused = !s.paused
	case 's':
		s.order = top.BySlowest
	case 'i':
		s.order = top.ByIn
	case 'o':
		s.order = top.ByOut
	case 'u':
		s.order = top.ByUser
	}
	return true
}

// outage says for how long there has been no answer. One that is late counts too: a broker that
// hangs refuses nothing.
func (s *topScreen) outage(now time.Time) *top.Outage {
	silent := now.Sub(s.now.At)
	if s.failure == nil && (s.paused || silent < s.interval+lateAnswer) {
		return nil
	}
	o := &top.Outage{For: silent}
	var link *linkError
	switch {
	case errors.As(s.failure, &link):
		o.Cause = link.cause
	case s.failure != nil:
		o.Cause = s.failure.Error()
	}
	return o
}

func (s *topScreen) draw() error {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width < 1 || height < 2 {
		width, height = 80, 24
	}
	lines := top.Page{Order: s.order, Width: width, Height: height - 1, Outage: s.outage(time.Now())}.Lines(s.before, s.now)
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	state := "by " + string(s.order)
	if s.paused {
		state += ", paused"
	}
	lines = append(lines, top.Fit(state+"   "+topHelp, width))
	_, err = fmt.Fprint(s.out, toBegin+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
	return err
}
