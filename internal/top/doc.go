// Package top makes the text of stompbox top: what the nodes do, in rates between two
// samples, and their sessions in an order.
package top
