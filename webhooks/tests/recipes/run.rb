require_relative "recipe"

NAMES = %w[webhook-id webhook-timestamp webhook-signature].freeze
text = ->(field) { field.unpack1("m0").force_encoding("UTF-8") }
$stdin.each_line do |line|
  secret, body, now, *fields = line.chomp.split("\t", -1)
  headers = NAMES.zip(fields).reject { |_, field| field == "-" }.to_h { |name, field| [name, text.(field)] }
  puts genuine?(text.(secret), headers, body.unpack1("m0"), now: now.to_i) ? "yes" : "no"
end
