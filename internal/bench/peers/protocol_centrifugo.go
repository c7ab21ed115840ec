package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// centrifugo is Centrifugo's bidirectional protocol in protobuf, its smaller form.
type centrifugo struct{}

type centrifugoClient struct {
	base
	id uint64
}

func (centrifugo) dial(address, token string) (client, error) {
	w, err := dialWebSocket(address, "/connection/websocket?format=protobuf", "centrifuge-protobuf")
	if err != nil {
		return nil, err
	}
	c := &centrifugoClient{base: base{webSocket: w}}
	return c, c.command(fieldConnect, field(nil, 1, []byte(token)))
}

// The fields of Command, Reply, Push and Publication that are used.
const (
	fieldID, fieldError, fieldPush                = 1, 2, 4
	fieldConnect, fieldSubscribe, fieldPublish    = 4, 5, 7
	fieldPushPublication, fieldPushDisconnect     = 4, 11
	fieldPublicationData, fieldChannel, fieldData = 4, 1, 2
)

// field appends a field of bytes.
func field(dst []byte, number int, value []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(number)<<3|2)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// send sends a command, which has an id where there is to be a reply.
func (c *centrifugoClient) send(id uint64, number int, request []byte) error {
	var command []byte
	if id > 0 {
		command = binary.AppendUvarint(append(command, fieldID<<3), id)
	}
	command = field(command, number, request)
	c.buf = binary.AppendUvarint(c.buf[:0], uint64(len(command)))
	return c.write(opBinary, append(c.buf, command...))
}

// command sends one, and returns when the server has replied.
func (c *centrifugoClient) command(number int, request []byte) error {
	c.id++
	if err := c.send(c.id, number, request); err != nil {
		return err
	}
	for replied := false; !replied; {
		err := c.replies(func(reply []byte) error {
			id := uint64(0)
			err := fields(reply, func(number int, value uint64, bytes []byte) error {
				switch number {
				case fieldID:
					id = value
				case fieldError:
					return fmt.Errorf("the server says %q", bytes)
				}
				return nil
			})
			replied = replied || id == c.id
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// replies calls each with the replies of one read, and answers pings, which are empty.
func (c *centrifugoClient) replies(each func(reply []byte) error) error {
	p, err := c.next()
	if err != nil {
		return err
	}
	for len(p) > 0 {
		n, size := binary.Uvarint(p)
		if size <= 0 || uint64(len(p)-size) < n {
			return errors.New("a reply is cut")
		}
		reply := p[size : size+int(n)]
		p = p[size+int(n):]
		if n == 0 {
			if err := c.write(opBinary, []byte{0}); err != nil {
				return err
			}
			continue
		}
		if err := each(reply); err != nil {
			return err
		}
	}
	return nil
}

func (c *centrifugoClient) subscribe(topic string) error {
	return c.command(fieldSubscribe, field(nil, fieldChannel, []byte(topic)))
}

func (c *centrifugoClient) publish(topic string, body []byte) error {
	c.id++
	return c.send(c.id, fieldPublish, field(field(nil, fieldChannel, []byte(topic)), fieldData, body))
}

func (c *centrifugoClient) read(each func(body []byte)) error {
	return c.replies(func(reply []byte) error {
		return fields(reply, func(number int, _ uint64, push []byte) error {
			if number == fieldError {
				return fmt.Errorf("the server says %q", push)
			}
			if number != fieldPush {
				return nil
			}
			return fields(push, func(number int, _ uint64, publication []byte) error {
				if number == fieldPushDisconnect {
					return fmt.Errorf("the server says %q", publication)
				}
				if number != fieldPushPublication {
					return nil
				}
				return fields(publication, func(number int, _ uint64, data []byte) error {
					if number == fieldPublicationData {
						each(data)
					}
					return nil
				})
			})
		})
	})
}

// beatEvery is 0: the server asks with a ping.
func (c *centrifugoClient) beatEvery() time.Duration { return 0 }

func (c *centrifugoClient) beat() error { return nil }

// fields calls each with the fields of a message: numbers, or bytes.
func fields(p []byte, each func(number int, value uint64, bytes []byte) error) error {
	for len(p) > 0 {
		tag, n := binary.Uvarint(p)
		if n <= 0 {
			return errors.New("a field is cut")
		}
		p = p[n:]
		value, n := binary.Uvarint(p)
		if n <= 0 {
			return errors.New("a field is cut")
		}
		p = p[n:]
		var data []byte
		switch tag & 7 {
		case 0:
		case 2:
			if uint64(len(p)) < value {
				return errors.New("a field is cut")
			}
			data, p = p[:value], p[value:]
		default:
			return fmt.Errorf("fields of type %d are not read", tag&7)
		}
		if err := each(int(tag>>3), value, data); err != nil {
			return err
		}
	}
	return nil
}
