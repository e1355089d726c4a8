# Signs the requests named in requests.json with the reference implementation of Chef's protocol 1.3, Debian's
# ruby-mixlib-authentication. Prints the headers it makes for each, as JSON:
#
#   apt-get install ruby-mixlib-authentication && make chef-signatures
#
# test_signature.py holds rollcall.chef.signature to what it printed. The key was made for that, with
# `openssl genrsa -traditional 2048`, and opens nothing anywhere.
require "openssl" # before the library, whose own order of loading fails with Ruby 3.1
require "json"
require "mixlib/authentication/signedheaderauth"

key = OpenSSL::PKey::RSA.new(File.read(ARGV.fetch(0)))
signed = JSON.parse($stdin.read).map do |request|
  Mixlib::Authentication::SignedHeaderAuth.signing_object(
    http_method: request["method"].downcase.to_sym,
    path: request["path"],
    body: request["body"],
    timestamp: request["timestamp"],
    user_id: request["user"],
    proto_version: "1.3",
    headers: { "X-Ops-Server-API-Version" => request["api_version"] }
  ).sign(key)
end
puts JSON.pretty_generate(signed)
