require "timeout"

class StreamController < ApplicationController
  include ActionController::Live
  allow_unauthenticated_access

  def show
    response.headers["Content-Type"] = "text/html"
    response.stream.write "<!doctype html><title>Stream</title><p>A stream</p>"
    # The header must not change from when the server has begun to send.
    Timeout.timeout(5) { Thread.pass until response.sending? || response.sent? }
    response.stream.write "<p id=end>The end of the stream</p>"
  ensure
    response.stream.close
  end
end
