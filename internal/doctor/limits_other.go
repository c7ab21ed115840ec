//go:build !unix

package doctor

import "context"

// files is for systems that limit open files.
func (e *examination) files(context.Context) []Result { return nil }
