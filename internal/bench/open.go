package bench

import "sync"

// atATime is how many clients are opened at a time.
const atATime = 32

// OpenAll opens n clients, some at a time, and returns them in the order of their numbers. Open
// returns the client with an error too where it is to be closed. After an error all are closed,
// and the error is the first one.
func OpenAll[C comparable](n int, open func(i int) (C, error), closeClient func(C)) ([]C, error) {
	all := make([]C, n)
	errs := make(chan error, n)
	slots := make(chan struct{}, atATime)
	var wait sync.WaitGroup
	for i := range all {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			c, err := open(i)
			all[i] = c
			if err != nil {
				errs <- err
			}
		})
	}
	wait.Wait()
	select {
	case err := <-errs:
		CloseAll(all, closeClient)
		return nil, err
	default:
		return all, nil
	}
}

// CloseAll closes the clients that are there.
func CloseAll[C comparable](all []C, closeClient func(C)) {
	var none C
	for _, c := range all {
		if c != none {
			closeClient(c)
		}
	}
}
