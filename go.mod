module github.com/stompbox/stompbox

go 1.26.0

require (
	github.com/go-stomp/stomp/v3 v3.1.5
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/kr/pretty v0.3.1 // indirect
	github.com/rogpeppe/go-internal v1.11.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
